-- What every service stands on: jobs, the event outbox, idempotency keys, the audit log, partitions.
--
-- Cures:
--   * a job could be finished by a worker that had lost it, could not be cancelled, belonged to nobody,
--     and could reach the dead letters twice;
--   * the index for claiming a job did not know priorities;
--   * events had nowhere to live: a webhook row is gone by the time "the repository was deleted" is sent;
--   * audit_log and usage_metrics grew for ever, and the audit log could be rewritten.

-- Equality on uuid, text and bigint inside an exclusion constraint (the locks need it). A trusted
-- extension: the owner of the database may create it.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- One number space for all transaction-scoped advisory locks: a kind and a name. Two names that collide
-- cost a wait and nothing else.
CREATE FUNCTION advisory_key(p_kind TEXT, p_name TEXT)
RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended(p_kind || ':' || p_name, 0) $$;

-- -----------------------------------------------------------------------------
-- Jobs
-- -----------------------------------------------------------------------------

-- lease_token names one claim of a job: whoever renews or finishes it must present the token, so a worker
-- that slept through its lease can change nothing. repo_id and requested_by say who may read and cancel
-- it. dedup_key folds requests for the same work into the one that is still waiting.
ALTER TABLE jobs
    ADD COLUMN lease_token UUID,
    ADD COLUMN cancel_requested_at TIMESTAMPTZ,
    ADD COLUMN repo_id UUID,
    ADD COLUMN requested_by UUID,
    ADD COLUMN dedup_key TEXT;

COMMENT ON COLUMN jobs.priority IS 'higher runs first';
COMMENT ON COLUMN jobs.result IS 'progress while the job runs, its outcome afterwards';

-- Claims from before the tokens cannot be continued: those jobs run again.
UPDATE jobs SET status = 'pending', locked_by = NULL, locked_until = NULL WHERE status = 'running';

ALTER TABLE jobs
    ADD CONSTRAINT jobs_lease_check
        CHECK ((status = 'running') = (lease_token IS NOT NULL AND locked_until IS NOT NULL)),
    ADD CONSTRAINT jobs_attempts_check CHECK (attempts >= 0 AND max_attempts >= 1);

-- In claiming order. idx_jobs_locked (running, by locked_until) finds the expired leases and stays.
DROP INDEX idx_jobs_queue;
CREATE INDEX idx_jobs_claim ON jobs (queue, priority DESC, scheduled_at) WHERE status = 'pending';
CREATE UNIQUE INDEX jobs_dedup_key ON jobs (job_type, dedup_key)
    WHERE status = 'pending' AND dedup_key IS NOT NULL;
CREATE INDEX idx_jobs_repo ON jobs (repo_id, created_at DESC) WHERE repo_id IS NOT NULL;
CREATE INDEX idx_jobs_finished ON jobs (completed_at)
    WHERE status IN ('completed', 'failed', 'cancelled');

-- Poison is buried once, however many workers notice that it is dead.
ALTER TABLE dead_letter_jobs
    ADD CONSTRAINT dead_letter_jobs_original_job_id_key UNIQUE (original_job_id);

-- Puts a job on its queue, inside the caller's transaction, and returns its id. With a dedup key, a job of
-- this type and key that nobody has claimed yet is returned instead, made no later and no less urgent.
-- Locking that row is intended: it cannot start before this transaction, whose work it must see, ends.
-- No NOTIFY here: it holds a global lock during commit. The job library sends its hints afterwards.
CREATE FUNCTION enqueue_job(
    p_queue TEXT,
    p_job_type TEXT,
    p_payload JSONB,
    p_priority INT DEFAULT 0,
    p_delay INTERVAL DEFAULT INTERVAL '0',
    p_max_attempts INT DEFAULT 3,
    p_repo_id UUID DEFAULT NULL,
    p_requested_by UUID DEFAULT NULL,
    p_dedup_key TEXT DEFAULT NULL
)
RETURNS UUID
LANGUAGE sql
AS $$
    INSERT INTO jobs AS waiting (queue, job_type, payload, priority, scheduled_at, max_attempts,
                                 repo_id, requested_by, dedup_key)
    VALUES (p_queue, p_job_type, p_payload, p_priority, clock_timestamp() + p_delay, p_max_attempts,
            p_repo_id, p_requested_by, p_dedup_key)
    ON CONFLICT (job_type, dedup_key) WHERE status = 'pending' AND dedup_key IS NOT NULL
    DO UPDATE SET priority = greatest(waiting.priority, excluded.priority),
                  scheduled_at = least(waiting.scheduled_at, excluded.scheduled_at)
    RETURNING id
$$;

-- -----------------------------------------------------------------------------
-- Events (outbox)
-- -----------------------------------------------------------------------------

-- What happened, written in the transaction in which it happened. No foreign key: the event that a
-- repository is gone outlives the repository.
--
-- Identities are drawn before transactions commit, so a reader who remembers the highest id misses those
-- that commit late. (xid, id) is an order without that gap: once every transaction below some xid has
-- ended, nothing can appear below it any more. A dump restored into another cluster, whose transaction
-- numbers start lower, must have its events emptied or their xid set to 1.
CREATE TABLE events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
    type TEXT NOT NULL CHECK (type ~ '^[a-z_]+(\.[a-z_]+)?$'),
    repo_id UUID,
    org_id UUID,
    actor_id UUID,
    payload JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE UNIQUE INDEX events_order_key ON events (xid, id);
CREATE INDEX idx_events_repo ON events (repo_id, xid, id) WHERE repo_id IS NOT NULL;
CREATE INDEX idx_events_created ON events (created_at);

-- The events that a reader may consume: read them in (xid, id) order, and none can turn up behind you.
CREATE VIEW settled_events AS
SELECT xid, id, type, repo_id, org_id, actor_id, payload, created_at
FROM events
WHERE xid < pg_snapshot_xmin(pg_current_snapshot());

-- How far each background consumer has come. Locking its row is what makes a consumer single.
CREATE TABLE event_cursors (
    consumer TEXT PRIMARY KEY,
    xid XID8 NOT NULL DEFAULT '0',
    id BIGINT NOT NULL DEFAULT 0,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

-- Records an event in the caller's transaction and returns its id.
CREATE FUNCTION emit_event(
    p_type TEXT,
    p_repo_id UUID,
    p_org_id UUID,
    p_actor_id UUID,
    p_payload JSONB
)
RETURNS BIGINT
LANGUAGE sql
AS $$
    INSERT INTO events (type, repo_id, org_id, actor_id, payload)
    VALUES (p_type, p_repo_id, p_org_id, p_actor_id, coalesce(p_payload, '{}'))
    RETURNING id
$$;

-- -----------------------------------------------------------------------------
-- Idempotency keys
-- -----------------------------------------------------------------------------

-- A request that was answered is answered the same way again; the fingerprint tells a repetition from
-- another request under the same id. The row is written in the transaction of the work, so it exists
-- exactly when the work does. response is NULL only inside that transaction.
CREATE TABLE idempotency_keys (
    method TEXT NOT NULL,
    subject TEXT NOT NULL,
    request_id UUID NOT NULL,
    fingerprint BYTEA NOT NULL,
    response BYTEA,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (method, subject, request_id)
);

CREATE INDEX idx_idempotency_keys_created ON idempotency_keys (created_at);

-- -----------------------------------------------------------------------------
-- Monthly partitions of audit_log and usage_metrics
-- -----------------------------------------------------------------------------

-- A partitioned table needs its time in every key. The default partition takes whatever no month takes,
-- so a late maintenance job loses nothing. Months themselves are made by ensure_month_partitions, and not
-- here: what a migration creates must not depend on the day it runs.
ALTER TABLE audit_log RENAME TO audit_log_before;
CREATE TABLE audit_log (LIKE audit_log_before INCLUDING DEFAULTS)
    PARTITION BY RANGE ("timestamp");
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;
INSERT INTO audit_log SELECT * FROM audit_log_before;
DROP TABLE audit_log_before;

ALTER TABLE audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id, "timestamp"),
    ADD CONSTRAINT audit_log_actor_id_fkey FOREIGN KEY (actor_id) REFERENCES users (id);
CREATE INDEX idx_audit_timestamp ON audit_log ("timestamp" DESC);
CREATE INDEX idx_audit_actor ON audit_log (actor_id, "timestamp" DESC);
CREATE INDEX idx_audit_resource ON audit_log (resource_type, resource_id, "timestamp" DESC);

-- idx_usage_entity does not return: the key answers the same question, read backwards.
ALTER TABLE usage_metrics RENAME TO usage_metrics_before;
CREATE TABLE usage_metrics (LIKE usage_metrics_before INCLUDING DEFAULTS)
    PARTITION BY RANGE (metric_date);
CREATE TABLE usage_metrics_default PARTITION OF usage_metrics DEFAULT;
INSERT INTO usage_metrics SELECT * FROM usage_metrics_before;
DROP TABLE usage_metrics_before;

ALTER TABLE usage_metrics
    ADD CONSTRAINT usage_metrics_pkey PRIMARY KEY (id, metric_date),
    ADD CONSTRAINT usage_metrics_entity_key UNIQUE (entity_type, entity_id, metric_date);

-- Makes the partitions of this month and of the p_months_ahead following ones, and of every earlier month
-- that still has rows in the default partition, which move to their place. Returns the names of the new
-- ones; running it again changes nothing. Months are UTC.
--
-- ATTACH does not stop writers of other months, CREATE ... PARTITION OF would. Whoever waits too long for
-- the default partition gives up: better a late partition than a queue of writers behind the wait.
CREATE FUNCTION ensure_month_partitions(p_months_ahead INT)
RETURNS TEXT[]
LANGUAGE plpgsql
SET timezone = 'UTC'
SET lock_timeout = '5s'
AS $$
DECLARE
    v_last TIMESTAMPTZ := date_trunc('month', now()) + make_interval(months => p_months_ahead);
    v_table TEXT;
    v_column TEXT;
    v_months TIMESTAMPTZ[];
    v_month TIMESTAMPTZ;
    v_partition TEXT;
    v_made TEXT[] := '{}';
BEGIN
    PERFORM pg_advisory_xact_lock(advisory_key('partitions', 'months'));
    FOR v_table, v_column IN VALUES ('audit_log', 'timestamp'), ('usage_metrics', 'metric_date') LOOP
        EXECUTE format(
            'SELECT ARRAY(SELECT generate_series(date_trunc(''month'', now()), $1, interval ''1 month'')'
            ' UNION SELECT date_trunc(''month'', %1$I) FROM %2$I WHERE %1$I < $1 + interval ''1 month'''
            ' ORDER BY 1)', v_column, v_table || '_default') INTO v_months USING v_last;
        FOREACH v_month IN ARRAY v_months LOOP
            v_partition := v_table || to_char(v_month, '_YYYY_MM');
            CONTINUE WHEN to_regclass(v_partition) IS NOT NULL;
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', v_table || '_default');
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', v_partition, v_table);
            -- The triggers that keep the audit log append-only would take the move for a deletion.
            EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', v_table || '_default');
            EXECUTE format(
                'WITH moved AS (DELETE FROM %1$I WHERE %2$I >= $1 AND %2$I < $1 + interval ''1 month'''
                ' RETURNING *) INSERT INTO %3$I SELECT * FROM moved',
                v_table || '_default', v_column, v_partition) USING v_month;
            EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', v_table || '_default');
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           v_table, v_partition, v_month, v_month + interval '1 month');
            v_made := v_made || v_partition;
        END LOOP;
    END LOOP;
    RETURN v_made;
END;
$$;

-- Drops the monthly partitions of audit_log or usage_metrics that ended on or before p_older_than, and
-- returns their names. This is the only way out of the audit log.
CREATE FUNCTION drop_month_partitions(p_table TEXT, p_older_than DATE)
RETURNS TEXT[]
LANGUAGE plpgsql
SET lock_timeout = '5s'
AS $$
DECLARE
    v_partition TEXT;
    v_dropped TEXT[] := '{}';
BEGIN
    IF p_table NOT IN ('audit_log', 'usage_metrics') THEN
        RAISE EXCEPTION 'table % has no monthly partitions', p_table
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR v_partition IN
        SELECT child.relname
        FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = p_table::regclass
          AND child.relname ~ '_\d{4}_\d{2}$'
          AND to_date(right(child.relname, 7), 'YYYY_MM') + interval '1 month' <= p_older_than
        ORDER BY child.relname
    LOOP
        EXECUTE format('DROP TABLE %I', v_partition);
        v_dropped := v_dropped || v_partition;
    END LOOP;
    RETURN v_dropped;
END;
$$;

-- -----------------------------------------------------------------------------
-- Audit log
-- -----------------------------------------------------------------------------

CREATE FUNCTION refuse_audit_change()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END;
$$;

CREATE TRIGGER audit_log_append_only
    BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();

CREATE TRIGGER audit_log_no_truncate
    BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

-- Writes one audit row in the caller's transaction and returns its id.
-- p_actor_type is 'user', 'system' or 'api_token'; p_actor_id is NULL for the system and for strangers.
CREATE FUNCTION audit(
    p_actor_id UUID,
    p_actor_type TEXT,
    p_action TEXT,
    p_resource_type TEXT,
    p_resource_id TEXT,
    p_resource_name TEXT,
    p_details JSONB,
    p_ip INET,
    p_user_agent TEXT,
    p_request_id TEXT
)
RETURNS UUID
LANGUAGE sql
AS $$
    INSERT INTO audit_log ("timestamp", actor_id, actor_type, action, resource_type, resource_id,
                           resource_name, details, ip_address, user_agent, request_id)
    VALUES (clock_timestamp(), p_actor_id, p_actor_type, p_action, p_resource_type, p_resource_id,
            p_resource_name, p_details, p_ip, p_user_agent, p_request_id)
    RETURNING id
$$;
