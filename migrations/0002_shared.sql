-- What every service stands on: jobs, the event outbox, idempotency keys, the audit log, partitions.
--
-- Cures:
--   * a job could be finished by a worker that had lost it, could not be cancelled, belonged to nobody,
--     and could reach the dead letters twice;
--   * the index for claiming a job did not know priorities;
--   * events had nowhere to live: a webhook row is gone by the time "the repository was deleted" is sent;
--   * functions could be changed only by a further step, which scattered the text of each over several;
--   * audit_log and usage_metrics grew for ever, and the audit log could be rewritten;
--   * an audit row did not say which repository or organisation it is about.

-- Which text of the files in functions/ this database has: the program applies them after the last step.
CREATE TABLE schema_functions (
    path TEXT COLLATE "C" PRIMARY KEY,
    checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

-- Equality on uuid, text and bigint inside an exclusion constraint (the locks need it). A trusted
-- extension: the owner of the database may create it.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- -----------------------------------------------------------------------------
-- Foreign keys of the largest tables
-- -----------------------------------------------------------------------------

-- PostgreSQL checks a foreign key row by row, which was a third of the work of adding a chunk. Tables that get rows by
-- the thousand ask once per statement instead, by triggers, and fail alike (docs/decisions/0019-small-files.md).
CREATE FUNCTION refuse_reference(p_constraint TEXT, p_value TEXT)
RETURNS VOID
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'violates foreign key constraint "%": %', p_constraint, p_value
        USING ERRCODE = 'foreign_key_violation', CONSTRAINT = p_constraint;
END;
$$;

-- Keys that those rows are named by do not change.
CREATE FUNCTION refuse_new_keys()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'the keys of % do not change', TG_TABLE_NAME USING ERRCODE = 'feature_not_supported';
END;
$$;

-- -----------------------------------------------------------------------------
-- Jobs
-- -----------------------------------------------------------------------------

-- lease_token names one claim of a job: who renews or finishes it must present the token, so a worker
-- that slept through its lease can change nothing. repo_id and requested_by say who may read and cancel
-- it. dedup_key folds requests for the same work into the one that is still waiting.
ALTER TABLE jobs
    ADD COLUMN lease_token UUID,
    ADD COLUMN cancel_requested_at TIMESTAMPTZ,
    ADD COLUMN repo_id UUID,
    ADD COLUMN requested_by UUID,
    ADD COLUMN dedup_key TEXT;

COMMENT ON COLUMN jobs.priority IS 'higher runs first; so far every job is put on its queue with 0';
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
-- Ids are in the order of time.
CREATE INDEX idx_jobs_repo ON jobs (repo_id, id) WHERE repo_id IS NOT NULL;
CREATE INDEX idx_jobs_requester ON jobs (requested_by, id) WHERE requested_by IS NOT NULL;
CREATE INDEX idx_jobs_finished ON jobs (completed_at)
    WHERE status IN ('completed', 'failed', 'cancelled');

-- Poison is buried once, however many workers notice that it is dead.
ALTER TABLE dead_letter_jobs
    ADD CONSTRAINT dead_letter_jobs_original_job_id_key UNIQUE (original_job_id);

-- What was requeued is not requeued again.
ALTER TABLE dead_letter_jobs
    ADD COLUMN priority INT NOT NULL DEFAULT 0,
    ADD COLUMN max_attempts INT NOT NULL DEFAULT 3,
    ADD COLUMN repo_id UUID,
    ADD COLUMN requested_by UUID,
    ADD COLUMN requeued_at TIMESTAMPTZ,
    ADD COLUMN requeued_as UUID,
    ADD CONSTRAINT dead_letter_jobs_requeued_check CHECK ((requeued_at IS NULL) = (requeued_as IS NULL));

COMMENT ON COLUMN dead_letter_jobs.failed_at IS 'unused by programs: jobs.completed_at is the same time, and stays as long';

-- When jobs are put on their queues without being asked for. Who locks a row that is due enqueues its job.
CREATE TABLE job_schedules (
    name TEXT PRIMARY KEY,
    cron TEXT NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    fired_at TIMESTAMPTZ
);

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

-- How far each background consumer has come. Locking its row is what makes a consumer single. failures and
-- retry_at are about the next event: how many attempts failed, and when the next one is due.
CREATE TABLE event_cursors (
    consumer TEXT PRIMARY KEY,
    xid XID8 NOT NULL DEFAULT '0',
    id BIGINT NOT NULL DEFAULT 0,
    failures INT NOT NULL DEFAULT 0,
    retry_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

-- Events that a consumer failed at until it gave them up, each with all that it was.
CREATE TABLE dead_events (
    consumer TEXT NOT NULL,
    id BIGINT NOT NULL,
    type TEXT NOT NULL,
    repo_id UUID,
    org_id UUID,
    actor_id UUID,
    payload JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    error TEXT NOT NULL,
    died_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    -- The consumer is to try it again.
    requeued_at TIMESTAMPTZ,
    PRIMARY KEY (consumer, id)
);

-- Up to where events have been thrown away: a reader who comes back with an older position has missed
-- some. Where the events of a restored dump are emptied, xid and id are set to 0 as well.
CREATE TABLE event_horizon (
    singleton BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    xid XID8 NOT NULL DEFAULT '0',
    id BIGINT NOT NULL DEFAULT 0
);
INSERT INTO event_horizon DEFAULT VALUES;

-- Whose database this is: noted by the first server that begins, so that none begins that differs.
CREATE TABLE deployment (
    singleton BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    cell INTEGER CHECK (cell >= 0),
    key_id BYTEA CHECK (octet_length(key_id) = 4)
);
INSERT INTO deployment DEFAULT VALUES;

COMMENT ON COLUMN deployment.key_id IS 'of the key of the server that began last';

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

-- repo_id: of the repository that the row is about, or of what is in it; org_id: of the organisation, or of
-- the one that owned that repository at the time. No foreign keys: rows outlive what they are about. (xid, id)
-- is an order in which nothing turns up late, as of events.
ALTER TABLE audit_log
    ADD COLUMN repo_id UUID,
    ADD COLUMN org_id UUID,
    ADD COLUMN xid XID8 NOT NULL DEFAULT pg_current_xact_id();

-- One for each filter of a listing, newest first, and the one in sealing order.
CREATE INDEX idx_audit_timestamp ON audit_log ("timestamp" DESC, id DESC);
CREATE INDEX idx_audit_actor ON audit_log (actor_id, "timestamp" DESC, id DESC);
CREATE INDEX idx_audit_action ON audit_log (action, "timestamp" DESC, id DESC);
CREATE INDEX idx_audit_resource ON audit_log (resource_type, resource_id, "timestamp" DESC, id DESC);
CREATE INDEX idx_audit_repo ON audit_log (repo_id, "timestamp" DESC, id DESC) WHERE repo_id IS NOT NULL;
CREATE INDEX idx_audit_org ON audit_log (org_id, "timestamp" DESC, id DESC) WHERE org_id IS NOT NULL;
CREATE INDEX idx_audit_order ON audit_log (xid, id);

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

-- Partitions inherit triggers for rows only; ensure_month_partitions gives each month this one, too.
CREATE TRIGGER audit_log_no_truncate
    BEFORE TRUNCATE ON audit_log_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

-- Always: session_replication_role turns no trigger off.
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_append_only;
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_no_truncate;
ALTER TABLE audit_log_default ENABLE ALWAYS TRIGGER audit_log_no_truncate;

-- Each month of the audit log is a chain of hashes, in the order (xid, id) of its rows: whoever changes,
-- deletes or inserts a row breaks it. seal_audit_rows makes the links of rows that are settled.
--
-- A month is the one of the row's timestamp in UTC, not a partition: rows move from the default partition to
-- their month's. head is the hash of the last link. xid and id are those of the last row that was sealed; the
-- highest of all months are how far the sealing has come. dropped_at: retention took the month's rows.
CREATE TABLE audit_chains (
    month DATE PRIMARY KEY CHECK (extract(day FROM month) = 1),
    length BIGINT NOT NULL,
    head BYTEA NOT NULL CHECK (length(head) = 32),
    xid XID8 NOT NULL,
    id UUID NOT NULL,
    dropped_at TIMESTAMPTZ
);

-- hash = SHA-256 of the hash before and the row. Positions of a month begin at 1.
CREATE TABLE audit_seals (
    month DATE NOT NULL,
    position BIGINT NOT NULL,
    row_id UUID NOT NULL UNIQUE,
    hash BYTEA NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (month, position)
);

