-- The schema after all steps. Written by `python -m migrations.dump`; do not edit.

CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;

COMMENT ON EXTENSION btree_gist IS 'support for indexing common datatypes in GiST';

CREATE TYPE public.lock_end AS (
	event text,
	action text,
	actor_id uuid,
	reason text
);

CREATE TYPE public.lock_terms AS (
	holder_id uuid,
	lock_type text,
	reason text,
	base_commit text,
	release_on_push boolean
);

CREATE TYPE public.usage_amounts AS (
	day date,
	entity_type text,
	entity_id uuid,
	requests bigint,
	received_bytes bigint,
	sent_bytes bigint,
	pushes bigint,
	pulls bigint
);

CREATE FUNCTION public.access_grants() RETURNS TABLE(repo_id uuid, user_id uuid, level integer, path text, role text, team_id uuid)
    LANGUAGE sql STABLE
    AS $$
    SELECT r.id, o.user_id, o.level, CASE WHEN o.role IS NULL THEN 'owner' ELSE 'member' END, o.role, NULL::uuid
    FROM owner_grants() o
    JOIN repository_identities r ON r.owner_type = o.owner_type AND r.owner_id = o.owner_id
    WHERE r.deleted_at IS NULL
    UNION ALL
    SELECT r.id, g.user_id, g.level, CASE WHEN g.team_id IS NULL THEN 'collaborator' ELSE 'team' END, NULL, g.team_id
    FROM single_grants() g
    JOIN repository_identities r ON r.id = g.repo_id
    WHERE r.deleted_at IS NULL
$$;

CREATE FUNCTION public.acquire_locks(p_repository_id uuid, p_paths text[], p_ttl interval, p_terms public.lock_terms) RETURNS TABLE(server_time timestamp with time zone, lock_id uuid, path text, fence bigint)
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_now TIMESTAMPTZ := take_lock_mutex(p_repository_id);
BEGIN
    PERFORM FROM judge_locks(p_repository_id, p_paths, p_terms.holder_id, p_terms.lock_type, v_now, '{}');
    IF FOUND THEN
        RETURN QUERY SELECT v_now, NULL::UUID, NULL::TEXT, NULL::BIGINT;
    ELSE
        RETURN QUERY
        SELECT v_now, g.lock_id, g.path, g.fence
        FROM grant_locks(p_repository_id, p_paths, v_now, v_now + p_ttl, p_terms.holder_id, p_terms) g;
    END IF;
END;
$$;

CREATE FUNCTION public.add_held_bytes() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    v_added RECORD;
BEGIN
    FOR v_added IN
        SELECT n.repo_id, sum(c.size) AS size, sum(n.stored_size) AS stored, count(*) AS count,
               min(n.chunk_hash) FILTER (WHERE c.hash IS NULL) AS absent
        FROM changed n LEFT JOIN LATERAL (SELECT hash, size FROM chunks WHERE hash = n.chunk_hash OFFSET 0) c ON TRUE
        GROUP BY n.repo_id ORDER BY n.repo_id
    LOOP
        IF v_added.absent IS NOT NULL THEN
            PERFORM refuse_reference('chunk_refs_chunk_hash_fkey', v_added.absent);
        END IF;
        INSERT INTO repository_storage AS s (repo_id, held_bytes, stored_bytes, chunk_count)
        VALUES (v_added.repo_id, v_added.size, v_added.stored, v_added.count)
        ON CONFLICT (repo_id) DO UPDATE
        SET held_bytes = s.held_bytes + excluded.held_bytes, stored_bytes = s.stored_bytes + excluded.stored_bytes,
            chunk_count = s.chunk_count + excluded.chunk_count, additions = s.additions + 1;
    END LOOP;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.advisory_key(p_kind text, p_name text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT hashtextextended(p_kind || ':' || p_name, 0) $$;

CREATE FUNCTION public.announce_access_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_row JSONB := to_jsonb(coalesce(NEW, OLD));
BEGIN
    PERFORM pg_notify('dits_access', concat(TG_ARGV[1], v_row ->> TG_ARGV[0]));
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.audit(p_actor_id uuid, p_actor_type text, p_action text, p_resource_type text, p_resource_id text, p_resource_name text, p_repo_id uuid, p_org_id uuid, p_details jsonb, p_ip inet, p_user_agent text, p_request_id text) RETURNS uuid
    LANGUAGE sql
    AS $$
    INSERT INTO audit_log ("timestamp", actor_id, actor_type, action, resource_type, resource_id,
                           resource_name, repo_id, org_id, details, ip_address, user_agent, request_id)
    VALUES (clock_timestamp(), p_actor_id, p_actor_type, p_action, p_resource_type, p_resource_id,
            p_resource_name, p_repo_id,
            coalesce(p_org_id, (SELECT r.owner_id FROM repository_identities r
                                WHERE r.id = p_repo_id AND r.owner_type = 'organization')),
            p_details, p_ip, p_user_agent, p_request_id)
    RETURNING id
$$;

CREATE TABLE public.audit_chains (
    month date NOT NULL,
    length bigint NOT NULL,
    head bytea NOT NULL,
    xid xid8 NOT NULL,
    id uuid NOT NULL,
    dropped_at timestamp with time zone,
    CONSTRAINT audit_chains_head_check CHECK ((length(head) = 32)),
    CONSTRAINT audit_chains_month_check CHECK ((EXTRACT(day FROM month) = (1)::numeric))
);

CREATE FUNCTION public.audit_chain_of(p_month date) RETURNS public.audit_chains
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_chain audit_chains;
BEGIN
    INSERT INTO audit_chains (month, length, head, xid, id)
    VALUES (p_month, 0, sha256(convert_to('dits audit ' || to_char(p_month, 'YYYY-MM'), 'UTF8')), '0',
            '00000000-0000-0000-0000-000000000000')
    ON CONFLICT (month) DO NOTHING;
    SELECT * INTO v_chain FROM audit_chains WHERE month = p_month;
    RETURN v_chain;
END;
$$;

CREATE TABLE public.audit_log (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    "timestamp" timestamp with time zone DEFAULT now() NOT NULL,
    actor_id uuid,
    actor_type text NOT NULL,
    action text NOT NULL,
    resource_type text NOT NULL,
    resource_id text NOT NULL,
    resource_name text,
    details jsonb,
    ip_address inet,
    user_agent text,
    request_id text,
    repo_id uuid,
    org_id uuid,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL
)
PARTITION BY RANGE ("timestamp");

CREATE FUNCTION public.audit_row_text(p_row public.audit_log) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_array(
        p_row.id, (extract(epoch FROM p_row."timestamp") * 1000000)::bigint, p_row.actor_id, p_row.actor_type,
        p_row.action, p_row.resource_type, p_row.resource_id, p_row.resource_name, p_row.repo_id, p_row.org_id,
        p_row.details, p_row.ip_address::text, p_row.user_agent, p_row.request_id)::text
$$;

CREATE FUNCTION public.begin_lift(p_repo_id uuid, p_list bytea, p_recipes text[], p_content text, OUT list_id bigint, OUT taken_to text, OUT missing text[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
BEGIN
    missing := '{}';
    UPDATE released_lists l SET lift_ends_at = clock_timestamp() + INTERVAL '1 hour'
    WHERE l.id = (SELECT min(o.id) FROM released_lists o
                  WHERE o.repo_id = p_repo_id AND o.erased_content = p_content AND o.recipe_hashes = p_list
                    AND o.taken_to IS NOT NULL AND o.released_to = '')
    RETURNING l.id, l.taken_to INTO list_id, taken_to;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT r.missing INTO missing
    FROM reference_chunks(p_repo_id, p_recipes, array_fill(1, ARRAY[cardinality(p_recipes)]),
                          array_fill(0, ARRAY[cardinality(p_recipes)])) r;
    IF cardinality(missing) = 0 THEN
        INSERT INTO released_lists AS l (repo_id, recipe_hashes, erased_content, taken_to, lift_ends_at)
        VALUES (p_repo_id, p_list, p_content, '', clock_timestamp() + INTERVAL '1 hour')
        RETURNING l.id, l.taken_to INTO list_id, taken_to;
    END IF;
END;
$$;

CREATE FUNCTION public.branch_head(p_repository_id uuid, p_branch text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT b.head_commit
    FROM repositories r
    JOIN branches b ON b.repo_id = r.id AND b.name = CASE WHEN p_branch = '' THEN r.default_branch ELSE p_branch END
    WHERE r.id = p_repository_id AND r.deleted_at IS NULL
$$;

CREATE TABLE public.jobs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    queue text DEFAULT 'default'::text NOT NULL,
    job_type text NOT NULL,
    payload jsonb NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    max_attempts integer DEFAULT 3 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    scheduled_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    locked_by text,
    locked_until timestamp with time zone,
    error text,
    result jsonb,
    lease_token uuid,
    cancel_requested_at timestamp with time zone,
    repo_id uuid,
    requested_by uuid,
    dedup_key text,
    CONSTRAINT jobs_attempts_check CHECK (((attempts >= 0) AND (max_attempts >= 1))),
    CONSTRAINT jobs_lease_check CHECK (((status = 'running'::text) = ((lease_token IS NOT NULL) AND (locked_until IS NOT NULL)))),
    CONSTRAINT jobs_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
);

COMMENT ON COLUMN public.jobs.priority IS 'higher runs first; so far every job is put on its queue with 0';

COMMENT ON COLUMN public.jobs.result IS 'progress while the job runs, its outcome afterwards';

CREATE FUNCTION public.cancel_job(p_id uuid) RETURNS SETOF public.jobs
    LANGUAGE sql
    AS $$
    UPDATE jobs j SET
        cancel_requested_at = coalesce(j.cancel_requested_at, clock_timestamp()),
        status = CASE WHEN j.status = 'pending' THEN 'cancelled' ELSE j.status END,
        completed_at = CASE WHEN j.status = 'pending' THEN clock_timestamp() END
    WHERE j.id = p_id AND j.status IN ('pending', 'running')
    RETURNING j.*
$$;

CREATE FUNCTION public.chunk_print(p_hash text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT ('x' || left(p_hash, 16))::bit(64)::BIGINT $$;

CREATE FUNCTION public.chunks_below_regions(p_repo_id uuid, p_hashes text[], p_min_regions integer) RETURNS TABLE(chunk_hash text)
    LANGUAGE sql STABLE
    AS $$
    SELECT h.hash FROM unnest(p_hashes) AS h (hash) WHERE p_min_regions > 0
    EXCEPT
    SELECT there.hash
    FROM repository_regions p CROSS JOIN LATERAL unnest(p.regions) AS w (region)
    CROSS JOIN LATERAL (
        SELECT h.hash FROM unnest(p_hashes) AS h (hash)
        WHERE EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = h.hash AND l.region = w.region OFFSET 0)
           OR EXISTS (SELECT FROM chunks c WHERE c.hash = h.hash AND split_part(c.storage_bucket, '.', 1) = w.region OFFSET 0)
        EXCEPT
        SELECT d.chunk_hash FROM due_copies d
        WHERE d.region = w.region AND d.repo_id = p_repo_id AND d.chunk_hash = ANY (p_hashes)) AS there
    WHERE p.repo_id = p_repo_id
    GROUP BY there.hash
    HAVING count(*) >= p_min_regions
$$;

CREATE FUNCTION public.claim_jobs(p_queues text[], p_limits integer[], p_types text[], p_leases interval[], p_worker text) RETURNS SETOF public.jobs
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    v_now TIMESTAMPTZ := clock_timestamp();
    v_queue TEXT;
    v_left INT;
    v_count INT;
    v_priority INT;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    FOR v_queue, v_left IN SELECT q.name, q.free FROM unnest(p_queues, p_limits) AS q (name, free) LOOP
        SELECT max(j.priority) INTO v_priority FROM jobs j WHERE j.status = 'pending' AND j.queue = v_queue;
        WHILE v_priority IS NOT NULL AND v_left > 0 LOOP
            RETURN QUERY
            WITH due AS MATERIALIZED (
                SELECT j.id, j.job_type FROM jobs j
                WHERE j.status = 'pending' AND j.queue = v_queue AND j.priority = v_priority
                  AND j.scheduled_at <= v_now AND j.job_type = ANY (p_types)
                ORDER BY j.scheduled_at LIMIT v_left
                FOR NO KEY UPDATE SKIP LOCKED
            )
            UPDATE jobs j SET status = 'running', attempts = j.attempts + 1, started_at = v_now,
                              lease_token = gen_random_uuid(), locked_by = p_worker, locked_until = v_now + t.lease
            FROM due d JOIN unnest(p_types, p_leases) AS t (job_type, lease) ON t.job_type = d.job_type
            WHERE j.id = d.id AND j.id = ANY (ARRAY(SELECT id FROM due))
            RETURNING j.*;
            GET DIAGNOSTICS v_count = ROW_COUNT;
            v_left := v_left - v_count;
            SELECT max(j.priority) INTO v_priority FROM jobs j
            WHERE j.status = 'pending' AND j.queue = v_queue AND j.priority < v_priority;
        END LOOP;
    END LOOP;
END;
$$;

CREATE FUNCTION public.close_repository(p_repo_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(advisory_key('repository', p_repo_id::TEXT));
    RETURN TRUE;
END;
$$;

CREATE FUNCTION public.count_chunks_outside(p_repo_id uuid, p_regions text[]) RETURNS integer
    LANGUAGE sql STABLE
    AS $$
    SELECT count(*)::int
    FROM (SELECT d.chunk_hash FROM due_copies d
          WHERE d.repo_id = p_repo_id AND d.region = ANY (p_regions)
            AND EXISTS (SELECT FROM chunk_refs r WHERE r.repo_id = p_repo_id AND r.chunk_hash = d.chunk_hash)
          GROUP BY d.chunk_hash
          HAVING count(*) = cardinality(p_regions)
          LIMIT 10000) AS outside
$$;

CREATE FUNCTION public.count_locks(p_repository_id uuid, p_most bigint) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN (SELECT count(*) FROM (
        SELECT FROM locks WHERE repo_id = p_repository_id AND (expires_at > v_now) IS TRUE LIMIT p_most) live);
END;
$$;

CREATE FUNCTION public.database_id() RETURNS uuid
    LANGUAGE sql STABLE
    AS $$
    SELECT md5(c.system_identifier || '/' || d.oid)::UUID
    FROM pg_control_system() c, pg_database d
    WHERE d.datname = current_database()
$$;

CREATE FUNCTION public.decrement_chunk_ref(p_hash text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_count INT;
BEGIN
    SELECT ref_count INTO v_count FROM chunks WHERE hash = p_hash FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no chunk %', p_hash USING ERRCODE = 'no_data_found';
    ELSIF v_count = 0 THEN
        RAISE EXCEPTION 'chunk % has no reference to release', p_hash USING ERRCODE = 'check_violation';
    END IF;
    UPDATE chunks
    SET ref_count = v_count - 1,
        delete_after = CASE WHEN v_count = 1 THEN clock_timestamp() + INTERVAL '30 days' END
    WHERE hash = p_hash;
END;
$$;

CREATE FUNCTION public.delete_assets_of_repository() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM assets WHERE repo_id = OLD.id;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.describe_grants(p_user_id uuid, p_repo_id uuid) RETURNS TABLE(level integer, grant_count integer, grants json)
    LANGUAGE sql STABLE
    AS $$
    SELECT max(g.level), count(*)::int, json_agg(json_build_object(
        'path', g.path, 'role', g.role, 'level', g.level, 'team_id', g.team_id, 'team', g.team)
        ORDER BY g.place) FILTER (WHERE g.place <= 10)
    FROM (SELECT a.*, t.name AS team, row_number() OVER (ORDER BY a.level DESC, a.path, t.name) AS place
          FROM access_grants() a
          LEFT JOIN teams t ON t.id = a.team_id
          WHERE a.user_id = p_user_id AND a.repo_id = p_repo_id) g
    HAVING count(*) > 0
$$;

CREATE FUNCTION public.draw_fences(p_repository_id uuid, p_count integer) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_fence BIGINT;
BEGIN
    UPDATE lock_clocks SET fence = fence + p_count WHERE repo_id = p_repository_id RETURNING fence INTO STRICT v_fence;
    RETURN v_fence - p_count;
END;
$$;

CREATE FUNCTION public.drop_month_partitions(p_table text, p_older_than date) RETURNS text[]
    LANGUAGE plpgsql
    SET lock_timeout TO '5s'
    AS $_$
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
        IF p_table = 'audit_log' THEN
            UPDATE audit_chains SET dropped_at = now()
            WHERE month = to_date(right(v_partition, 7), 'YYYY_MM');
            DELETE FROM audit_seals WHERE month = to_date(right(v_partition, 7), 'YYYY_MM');
        END IF;
        v_dropped := v_dropped || v_partition;
    END LOOP;
    RETURN v_dropped;
END;
$_$;

CREATE FUNCTION public.emit_event(p_type text, p_repo_id uuid, p_org_id uuid, p_actor_id uuid, p_payload jsonb) RETURNS bigint
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_id BIGINT;
    v_subjects TEXT[] := event_subjects(p_type, p_payload);
BEGIN
    IF v_subjects IS NOT NULL AND EXISTS (
        SELECT FROM events e
        WHERE e.repo_id = p_repo_id AND e.xid > pg_current_xact_id()
          -- Not with &&, which compares each with each: a thousand subjects with those of a thousand events.
          AND (SELECT jsonb_object_agg(s, NULL) FROM unnest(v_subjects) s WHERE s IS NOT NULL)
              ?| event_subjects(e.type, e.payload)
    ) THEN
        RAISE EXCEPTION 'a later transaction has told of it already' USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO events (type, repo_id, org_id, actor_id, payload)
    VALUES (p_type, p_repo_id, p_org_id, p_actor_id, coalesce(p_payload, '{}'))
    RETURNING id INTO STRICT v_id;
    RETURN v_id;
END;
$$;

CREATE FUNCTION public.emit_lock_events(p_type text, p_repository_id uuid, p_actor_id uuid, p_lock_ids uuid[], p_cause text) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    PERFORM emit_event(p_type, p_repository_id, NULL, p_actor_id,
                       jsonb_strip_nulls(e.alike) || jsonb_build_object('locks', e.locks))
    FROM (
        SELECT jsonb_build_object(
                   'type', 'LOCK_TYPE_' || upper(l.lock_type), 'holder_id', l.owner_id, 'holder', u.username,
                   'reason', l.reason,
                   'lock_time', l.locked_at, 'expire_time', l.expires_at, 'base_commit', l.locked_at_commit,
                   'release_on_push', l.release_on_push, 'cause', p_cause) AS alike,
               l.locks
        FROM (
            SELECT k.lock_type, k.owner_id, k.reason, k.locked_at, k.expires_at, k.release_on_push, k.locked_at_commit,
                   jsonb_agg(jsonb_build_object('lock_id', k.id, 'path', k.path, 'fence', k.fence::text)
                             ORDER BY k.path, k.fence) AS locks,
                   min(k.path) AS first_path, min(k.fence) AS first_fence
            FROM (
                SELECT named.*, (row_number() OVER (
                           PARTITION BY named.lock_type, named.owner_id, named.reason, named.locked_at, named.expires_at,
                                        named.release_on_push, named.locked_at_commit
                           ORDER BY named.path, named.fence) - 1) / 1000 AS portion
                FROM unnest(p_lock_ids) AS asked (id)
                CROSS JOIN LATERAL (SELECT * FROM locks WHERE locks.id = asked.id OFFSET 0) named
            ) k
            GROUP BY k.lock_type, k.owner_id, k.reason, k.locked_at, k.expires_at, k.release_on_push, k.locked_at_commit,
                     k.portion
        ) l
        CROSS JOIN LATERAL (SELECT username FROM user_identities WHERE user_identities.id = l.owner_id OFFSET 0) u
        ORDER BY l.first_path, l.first_fence
    ) e;
END;
$$;

CREATE FUNCTION public.end_erasure(p_repo_id uuid, p_content text) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE released_lists SET erased_content = NULL WHERE repo_id = p_repo_id AND erased_content = p_content
$$;

CREATE FUNCTION public.end_expired_leases(p_limit integer) RETURNS TABLE(job_id uuid, job_type text, job_status text)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_now TIMESTAMPTZ := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH expired AS MATERIALIZED (
        SELECT j.id, CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
                          WHEN j.attempts >= j.max_attempts THEN 'failed'
                          ELSE 'pending' END AS status
        FROM jobs j
        WHERE j.status = 'running' AND j.locked_until < v_now
        ORDER BY j.locked_until LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE jobs j SET
            status = e.status,
            error = 'its worker died or stood still',
            scheduled_at = CASE WHEN e.status = 'pending' THEN v_now ELSE j.scheduled_at END,
            completed_at = CASE WHEN e.status <> 'pending' THEN v_now END,
            dedup_key = NULL,
            lease_token = NULL, locked_by = NULL, locked_until = NULL
        FROM expired e WHERE j.id = e.id AND j.id = ANY (ARRAY(SELECT id FROM expired))
        RETURNING j.*
    ), buried AS (
        INSERT INTO dead_letter_jobs (original_job_id, queue, job_type, payload, error, retry_count, priority,
                                      max_attempts, repo_id, requested_by)
        SELECT e.id, e.queue, e.job_type, e.payload, coalesce(e.error, ''), e.attempts, e.priority,
               e.max_attempts, e.repo_id, e.requested_by
        FROM ended e WHERE e.status = 'failed'
        ON CONFLICT (original_job_id) DO NOTHING
    )
    SELECT e.id, e.job_type, e.status FROM ended e;
END;
$$;

CREATE FUNCTION public.end_jobs(p_ids uuid[], p_tokens uuid[], p_outcomes text[], p_errors text[], p_results jsonb[], p_delays interval[]) RETURNS TABLE(job_id uuid, job_status text)
    LANGUAGE sql
    AS $$
    WITH held AS (
        SELECT j.id, e.error, e.result, e.delay, e.outcome = 'release' AS is_released,
               CASE WHEN e.outcome NOT IN ('retry', 'release') THEN e.outcome
                    WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
                    ELSE 'pending' END AS status
        FROM unnest(p_ids, p_tokens, p_outcomes, p_errors, p_results, p_delays)
                 AS e (id, token, outcome, error, result, delay)
        JOIN jobs j ON j.id = e.id
        WHERE j.id = ANY (p_ids) AND j.status = 'running' AND j.lease_token = e.token
        ORDER BY j.id FOR NO KEY UPDATE OF j
    ), ended AS (
        UPDATE jobs j SET
            status = h.status,
            attempts = j.attempts - h.is_released::INT,
            error = h.error,
            result = coalesce(h.result, j.result),
            scheduled_at = CASE WHEN h.status = 'pending' THEN clock_timestamp() + h.delay ELSE j.scheduled_at END,
            completed_at = CASE WHEN h.status <> 'pending' THEN clock_timestamp() END,
            -- Another one may wait under its key by now.
            dedup_key = NULL,
            lease_token = NULL, locked_by = NULL, locked_until = NULL
        FROM held h WHERE j.id = h.id AND j.id = ANY (ARRAY(SELECT id FROM held))
        RETURNING j.*
    ), buried AS (
        INSERT INTO dead_letter_jobs (original_job_id, queue, job_type, payload, error, retry_count, priority,
                                      max_attempts, repo_id, requested_by)
        SELECT e.id, e.queue, e.job_type, e.payload, coalesce(e.error, ''), e.attempts, e.priority,
               e.max_attempts, e.repo_id, e.requested_by
        FROM ended e WHERE e.status = 'failed'
        ON CONFLICT (original_job_id) DO NOTHING
    )
    SELECT e.id, e.status FROM ended e
$$;

CREATE FUNCTION public.end_lift(p_repo_id uuid, p_list_id bigint, p_taken_to text) RETURNS boolean
    LANGUAGE sql
    AS $$
    WITH ended AS (
        DELETE FROM released_lists
        WHERE id = p_list_id AND repo_id = p_repo_id AND taken_to = p_taken_to AND released_to = ''
        RETURNING id
    )
    SELECT EXISTS (SELECT FROM ended)
$$;

CREATE FUNCTION public.end_locks(p_repository_id uuid, p_lock_ids uuid[], p_now timestamp with time zone, p_end public.lock_end) RETURNS TABLE(lock_id uuid, action text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_live UUID[];
    v_expired UUID[];
BEGIN
    -- By id, and not by repository, which the planner may take for more selective.
    SELECT array_agg(l.id) FILTER (WHERE l.expires_at > p_now),
           array_agg(l.id) FILTER (WHERE l.expires_at <= p_now)
    INTO v_live, v_expired
    FROM locks l WHERE l.id = ANY (p_lock_ids) AND (l.repo_id = p_repository_id) IS TRUE;

    IF v_expired IS NOT NULL THEN
        PERFORM emit_lock_events('lock.expired', p_repository_id, NULL, v_expired, NULL);
    END IF;
    IF v_live IS NOT NULL THEN
        PERFORM emit_lock_events(p_end.event, p_repository_id, p_end.actor_id, v_live, p_end.reason);
    END IF;
    -- The id of an end follows from that of the lock: to draw a random one takes longer than all the rest.
    RETURN QUERY
    WITH gone AS (
        DELETE FROM locks l WHERE l.id = ANY (v_live || v_expired) RETURNING l.*
    )
    INSERT INTO lock_history AS h (id, lock_id, repo_id, path, owner_id, action, action_by, action_at, reason,
                                   fence, lock_type, expires_at)
    SELECT md5(g.id::text)::uuid, g.id, g.repo_id, g.path, g.owner_id,
           CASE WHEN g.expires_at > p_now THEN p_end.action ELSE 'expired' END,
           CASE WHEN g.expires_at > p_now THEN p_end.actor_id END,
           least(p_now, g.expires_at),
           CASE WHEN g.expires_at > p_now THEN p_end.reason END,
           g.fence, g.lock_type, g.expires_at
    FROM gone g
    RETURNING h.lock_id, h.action;
END;
$$;

CREATE FUNCTION public.enqueue_job(p_queue text, p_job_type text, p_payload jsonb, p_priority integer DEFAULT 0, p_delay interval DEFAULT '00:00:00'::interval, p_max_attempts integer DEFAULT 3, p_repo_id uuid DEFAULT NULL::uuid, p_requested_by uuid DEFAULT NULL::uuid, p_dedup_key text DEFAULT NULL::text) RETURNS uuid
    LANGUAGE sql
    AS $$
    INSERT INTO jobs AS waiting (id, queue, job_type, payload, priority, scheduled_at, max_attempts,
                                 repo_id, requested_by, dedup_key)
    VALUES (new_job_id(), p_queue, p_job_type, p_payload, p_priority, clock_timestamp() + p_delay, p_max_attempts,
            p_repo_id, p_requested_by, p_dedup_key)
    ON CONFLICT (job_type, dedup_key) WHERE status = 'pending' AND dedup_key IS NOT NULL
    DO UPDATE SET priority = greatest(waiting.priority, excluded.priority),
                  scheduled_at = least(waiting.scheduled_at, excluded.scheduled_at)
    RETURNING id
$$;

CREATE FUNCTION public.enqueue_jobs(p_queues text[], p_job_types text[], p_payloads jsonb[], p_priorities integer[], p_delays interval[], p_max_attempts integer[], p_repo_ids uuid[], p_requested_by uuid[]) RETURNS SETOF uuid
    LANGUAGE sql
    AS $$
    INSERT INTO jobs (id, queue, job_type, payload, priority, scheduled_at, max_attempts, repo_id, requested_by)
    SELECT new_job_id(), n.queue, n.job_type, n.payload, n.priority, clock_timestamp() + n.delay, n.max_attempts,
           n.repo_id, n.requested_by
    FROM unnest(p_queues, p_job_types, p_payloads, p_priorities, p_delays, p_max_attempts, p_repo_ids,
                p_requested_by)
        AS n (queue, job_type, payload, priority, delay, max_attempts, repo_id, requested_by)
    RETURNING id
$$;

CREATE FUNCTION public.ensure_month_partitions(p_months_ahead integer) RETURNS text[]
    LANGUAGE plpgsql
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '5s'
    AS $_$
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
            -- The trigger that keeps the audit log append-only would take the move for a deletion.
            IF v_table = 'audit_log' THEN
                ALTER TABLE audit_log_default DISABLE TRIGGER audit_log_append_only;
            END IF;
            EXECUTE format(
                'WITH moved AS (DELETE FROM %1$I WHERE %2$I >= $1 AND %2$I < $1 + interval ''1 month'''
                ' RETURNING *) INSERT INTO %3$I SELECT * FROM moved',
                v_table || '_default', v_column, v_partition) USING v_month;
            IF v_table = 'audit_log' THEN
                ALTER TABLE audit_log_default ENABLE ALWAYS TRIGGER audit_log_append_only;
                EXECUTE format(
                    'CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON %I'
                    ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()', v_partition);
                EXECUTE format(
                    'ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_log_no_truncate', v_partition);
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           v_table, v_partition, v_month, v_month + interval '1 month');
            v_made := v_made || v_partition;
        END LOOP;
    END LOOP;
    RETURN v_made;
END;
$_$;

CREATE FUNCTION public.erase_chunks(p_repo_id uuid, p_hashes text[], OUT chunk_count bigint, OUT byte_count bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_last TEXT[];
    v_rows BIGINT;
BEGIN
    PERFORM FROM chunks WHERE hash = ANY (p_hashes) ORDER BY hash FOR NO KEY UPDATE;

    PERFORM FROM chunk_refs
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
    ORDER BY chunk_hash
    FOR UPDATE;

    v_last := ARRAY(
        SELECT chunk_hash FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes) AND ref_count = 1
        ORDER BY chunk_hash);
    chunk_count := cardinality(v_last);
    byte_count := coalesce((SELECT sum(size) FROM chunks WHERE hash = ANY (v_last)), 0);

    UPDATE chunk_refs SET ref_count = ref_count - 1
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes) AND ref_count > 1;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows + chunk_count <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'released % of % chunks of repository %', v_rows + chunk_count, cardinality(p_hashes), p_repo_id
            USING ERRCODE = 'cardinality_violation';
    END IF;

    DELETE FROM chunk_refs WHERE repo_id = p_repo_id AND chunk_hash = ANY (v_last);
    UPDATE repository_storage SET erasures = erasures + 1 WHERE repo_id = p_repo_id;
    UPDATE chunks
    SET ref_count = ref_count - 1, delete_after = CASE WHEN ref_count = 1 THEN clock_timestamp() END
    WHERE hash = ANY (v_last);
    INSERT INTO chunk_erasures (chunk_hash) SELECT unnest(v_last) ON CONFLICT (chunk_hash) DO NOTHING;
END;
$$;

CREATE FUNCTION public.erase_list(p_repo_id uuid, p_list bytea, p_content text) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE released_lists SET erased_content = p_content
    WHERE repo_id = p_repo_id AND recipe_hashes = p_list AND erased_content IS NULL;
    INSERT INTO released_lists (repo_id, recipe_hashes, erased_content) VALUES (p_repo_id, p_list, p_content)
$$;

CREATE FUNCTION public.event_subjects(p_type text, p_payload jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT array_agg(s.subject) FROM (
        SELECT 'branch ' || (b ->> 'branch') FROM jsonb_array_elements(p_payload -> 'branches') b
        WHERE p_type = 'push'
        UNION ALL
        SELECT 'tag ' || (t ->> 'tag') FROM jsonb_array_elements(p_payload -> 'tags') t
        WHERE p_type = 'push'
        UNION ALL
        SELECT 'branch ' || b FROM unnest(ARRAY[p_payload ->> 'branch', p_payload ->> 'previous_name']) b
        WHERE p_type IN ('branch.created', 'branch.deleted', 'branch.renamed')
        UNION ALL
        SELECT 'branch protection ' || (p_payload ->> 'branch') WHERE p_type = 'branch.protection_changed'
        UNION ALL
        SELECT 'tag ' || (p_payload ->> 'tag') WHERE p_type IN ('tag.created', 'tag.deleted')
        UNION ALL
        SELECT 'tag protection' WHERE p_type = 'tag.protection_changed'
        UNION ALL
        SELECT 'lock ' || (l ->> 'path') FROM jsonb_array_elements(p_payload -> 'locks') l
        WHERE p_type LIKE 'lock.%'
        UNION ALL
        SELECT 'repository' WHERE p_type IN ('repo.updated', 'repo.deleted', 'repo.undeleted', 'repo.transferred')
        UNION ALL
        SELECT 'grant ' || coalesce(p_payload ->> 'user_id', p_payload ->> 'team_id') WHERE p_type LIKE 'repo.access_%'
        UNION ALL
        SELECT 'content ' || (p_payload ->> 'content_hash')
        WHERE p_type IN ('repo.content_obliterated', 'repo.obliteration_lifted')
    ) s (subject)
$$;

CREATE FUNCTION public.find_missing_chunks(p_repo_id uuid, p_hashes text[]) RETURNS text[]
    LANGUAGE sql STABLE
    AS $$
    SELECT ARRAY(SELECT unnest(p_hashes)
                 EXCEPT SELECT chunk_hash FROM chunk_refs WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
                 ORDER BY 1)
$$;

CREATE FUNCTION public.give_back_attempt(p_buckets text[], p_limits integer[]) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE login_throttles t SET
        failures = greatest(t.failures - 1, 0),
        blocked_until = CASE WHEN t.failures > o.most THEN t.blocked_until END
    FROM (SELECT i.bucket, l.most
          FROM login_throttles i JOIN unnest(p_buckets, p_limits) AS l (bucket, most) ON l.bucket = i.bucket
          ORDER BY i.bucket FOR UPDATE OF i) o
    WHERE t.bucket = o.bucket
$$;

CREATE FUNCTION public.given_singly() RETURNS TABLE(repo_id uuid, user_id uuid, level integer, team_id uuid)
    LANGUAGE sql STABLE
    AS $$
    SELECT g.repo_id, g.grantee_id, permission_level(g.permission), NULL::uuid
    FROM repository_grants g
    WHERE g.grantee_type = 'user'
    UNION ALL
    SELECT g.repo_id, t.user_id, permission_level(g.permission), t.team_id
    FROM team_members t
    JOIN repository_grants g ON g.grantee_type = 'team' AND g.grantee_id = t.team_id
$$;

CREATE FUNCTION public.given_to_owners() RETURNS TABLE(owner_type text, owner_id uuid, user_id uuid, level integer, role text, withheld boolean)
    LANGUAGE sql STABLE
    AS $$
    SELECT 'user', u.id, u.id, 3, NULL::text, FALSE FROM user_identities u
    UNION ALL
    SELECT 'organization', m.org_id, m.user_id, membership_level(m.role, o.settings), m.role,
           requires_mfa(o.settings) AND NOT u.mfa_enabled
    FROM organization_members m
    JOIN organizations o ON o.id = m.org_id
    JOIN users u ON u.id = m.user_id
    WHERE membership_level(m.role, o.settings) > 0
$$;

CREATE FUNCTION public.grant_locks(p_repository_id uuid, p_paths text[], p_now timestamp with time zone, p_expires_at timestamp with time zone, p_actor_id uuid, p_terms public.lock_terms) RETURNS TABLE(lock_id uuid, path text, fence bigint)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_expired UUID[] := ARRAY(SELECT l.id FROM locks l WHERE l.repo_id = p_repository_id
                              AND l.path = ANY (p_paths) AND l.expires_at <= p_now);
    -- One random number for all: each costs a system call.
    v_seed TEXT := gen_random_uuid()::text;
    v_ids UUID[] := ARRAY(SELECT md5(v_seed || n)::uuid FROM generate_series(1, cardinality(p_paths)) n);
    v_fence BIGINT := draw_fences(p_repository_id, cardinality(p_paths));
BEGIN
    IF v_expired <> '{}' THEN
        PERFORM end_locks(p_repository_id, v_expired, p_now, ROW ('lock.expired', 'expired', NULL, NULL)::lock_end);
    END IF;
    RETURN QUERY
    WITH granted AS (
        INSERT INTO locks AS l (id, repo_id, path, owner_id, lock_type, reason, locked_at_commit, locked_at,
                                expires_at, fence, release_on_push, warned_at)
        SELECT asked.id, p_repository_id, asked.path, p_terms.holder_id, p_terms.lock_type, p_terms.reason,
               p_terms.base_commit, p_now, p_expires_at, v_fence + row_number() OVER (ORDER BY asked.path COLLATE "C"),
               p_terms.release_on_push, CASE WHEN p_expires_at - p_now <= lock_warning() THEN p_now END
        FROM unnest(v_ids, p_paths) AS asked (id, path)
        ORDER BY asked.path COLLATE "C"
        RETURNING l.id, l.path, l.fence
    )
    INSERT INTO lock_history AS h (id, lock_id, repo_id, path, owner_id, action, action_by, action_at, reason,
                                   fence, lock_type, expires_at)
    SELECT g.id, g.id, p_repository_id, g.path, p_terms.holder_id, 'acquired', p_actor_id, p_now, p_terms.reason,
           g.fence, p_terms.lock_type, p_expires_at
    FROM granted g
    RETURNING h.lock_id, h.path, h.fence;

    PERFORM emit_lock_events('lock.acquired', p_repository_id, p_actor_id, v_ids, NULL);
END;
$$;

CREATE FUNCTION public.granted_permissions(p_user_id uuid) RETURNS TABLE(repo_id uuid, level integer)
    LANGUAGE sql STABLE
    AS $$
    SELECT repo_id, level FROM access_grants() WHERE user_id = p_user_id
$$;

CREATE FUNCTION public.hold_owner(p_owner_type text, p_owner_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF p_owner_type = 'organization' THEN
        PERFORM FROM organizations WHERE id = p_owner_id AND deleted_at IS NULL FOR SHARE;
    ELSE
        PERFORM FROM users WHERE id = p_owner_id AND status = 'active' FOR SHARE;
    END IF;
    RETURN FOUND;
END;
$$;

CREATE FUNCTION public.increment_chunk_ref(p_hash text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE chunks SET ref_count = ref_count + 1, delete_after = NULL WHERE hash = p_hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no chunk %', p_hash USING ERRCODE = 'no_data_found';
    END IF;
END;
$$;

CREATE FUNCTION public.is_being_erased(p_repo_id uuid, p_content text) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM released_lists WHERE repo_id = p_repo_id AND erased_content = p_content)
$$;

CREATE FUNCTION public.is_being_lifted(p_repo_id uuid, p_content text) RETURNS boolean
    LANGUAGE sql
    AS $$
    SELECT EXISTS (SELECT FROM released_lists
                   WHERE repo_id = p_repo_id AND erased_content = p_content AND lift_ends_at > clock_timestamp())
$$;

CREATE FUNCTION public.judge_locks(p_repository_id uuid, p_paths text[], p_user_id uuid, p_lock_type text, p_now timestamp with time zone, p_replaced uuid[]) RETURNS TABLE(asked text, already_held boolean, id uuid, path text, owner_id uuid, owner text, lock_type text, reason text, fence bigint, locked_at timestamp with time zone, expires_at timestamp with time zone, release_on_push boolean, locked_at_commit text)
    LANGUAGE plpgsql STABLE ROWS 10
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    WITH near AS (
        SELECT over.path AS asked, l.*
        FROM locks_over(p_repository_id, p_paths, p_now) over
        CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = over.lock_id OFFSET 0) l
        UNION ALL
        SELECT below.directory, l.*
        FROM locks_below(p_repository_id, ARRAY(SELECT p.path FROM unnest(p_paths) AS p (path) WHERE right(p.path, 1) = '/'),
                         p_user_id, p_lock_type, p_now, p_replaced) below
        CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = below.lock_id OFFSET 0) l
    ), judged AS (
        SELECT n.*, n.path = n.asked AND n.owner_id = p_user_id AND n.lock_type = p_lock_type AS already_held
        FROM near n
    )
    SELECT DISTINCT ON (j.asked) j.asked, j.already_held, j.id, j.path, j.owner_id, u.username, j.lock_type,
           j.reason, j.fence, j.locked_at, j.expires_at, j.release_on_push, j.locked_at_commit
    FROM judged j JOIN user_identities u ON u.id = j.owner_id
    WHERE j.already_held
       OR lock_excludes(j.path, j.owner_id, j.lock_type, j.asked, p_user_id, p_lock_type)
          AND j.id <> ALL (p_replaced)
    ORDER BY j.asked, j.already_held DESC, j.path, j.fence;
END;
$$;

CREATE FUNCTION public.keep_held_repository() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM chunk_refs WHERE repo_id = OLD.repo_id) THEN
        PERFORM refuse_reference('chunk_refs_repo_id_fkey', OLD.repo_id::text);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.keep_mfa_enabled() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE users SET mfa_enabled = NEW.mfa_enabled WHERE id = NEW.user_id AND mfa_enabled <> NEW.mfa_enabled;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.keep_named_chunks() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    v_named TEXT := (SELECT o.hash FROM changed o
                     WHERE EXISTS (SELECT FROM chunk_refs r WHERE r.chunk_hash = o.hash OFFSET 0) LIMIT 1);
    v_copied TEXT := (SELECT o.hash FROM changed o
                      WHERE EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = o.hash OFFSET 0) LIMIT 1);
BEGIN
    IF v_named IS NOT NULL THEN
        PERFORM refuse_reference('chunk_refs_chunk_hash_fkey', v_named);
    END IF;
    IF v_copied IS NOT NULL THEN
        PERFORM refuse_reference('chunk_locations_chunk_hash_fkey', v_copied);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.keep_named_pack() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM chunks WHERE pack_key = OLD.key) THEN
        PERFORM refuse_reference('chunks_pack_fkey', OLD.key);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.keep_namespace() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_key TEXT COLLATE "C" := lower((to_jsonb(NEW) ->> TG_ARGV[1]) COLLATE "C");
BEGIN
    INSERT INTO namespaces (name_key, owner_type, owner_id)
    VALUES (v_key, TG_ARGV[0], NEW.id)
    ON CONFLICT (owner_type, owner_id) DO UPDATE SET name_key = excluded.name_key;
    -- After the row: who gives the name up at this moment has written here by the time that it is free.
    IF EXISTS (SELECT FROM former_names
               WHERE name_key = v_key AND kept_until > clock_timestamp()
                 AND (owner_type, owner_id) <> (TG_ARGV[0], NEW.id)) THEN
        RAISE EXCEPTION 'the name is kept for its former owner'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'former_names_pkey';
    END IF;
    RETURN NEW;
END;
$$;

CREATE FUNCTION public.lift_chunks(p_repo_id uuid, p_list_id bigint, p_taken_to text, p_hashes text[], p_sizes integer[], OUT missing text[], OUT missized text[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM released_lists
    WHERE id = p_list_id AND repo_id = p_repo_id AND taken_to = p_taken_to AND released_to = ''
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT r.missing, r.missized INTO missing, missized
    FROM reference_chunks(p_repo_id, p_hashes, array_fill(1, ARRAY[cardinality(p_hashes)]), p_sizes) r;
    IF cardinality(missing) = 0 THEN
        UPDATE released_lists
        SET taken_to = p_hashes[cardinality(p_hashes)], lift_ends_at = clock_timestamp() + INTERVAL '1 hour'
        WHERE id = p_list_id;
    END IF;
END;
$$;

CREATE FUNCTION public.live_credential(p_token_hash text, p_is_open boolean) RETURNS TABLE(is_session boolean, id uuid, user_id uuid, username text, scopes text[], repository_ids uuid[], sudo_seconds double precision, refused_by uuid[], touch boolean)
    LANGUAGE sql STABLE
    AS $$
    SELECT TRUE, s.id, s.user_id, u.username, NULL::text[], NULL::uuid[],
           CASE WHEN s.token_hash = p_token_hash
                THEN coalesce(greatest(extract(epoch FROM s.sudo_until - now()), 0), 0) ELSE 0 END::float8,
           NULL::uuid[], s.last_active_at < now() - interval '1 minute'
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE (s.token_hash = p_token_hash
           OR s.id = (SELECT f.session_id FROM former_session_tokens f
                      WHERE f.token_hash = p_token_hash
                        AND (p_is_open OR f.replaced_at > now() - interval '30 minutes')))
      AND s.revoked_at IS NULL AND s.expires_at > now()
      AND s.last_active_at > now() - interval '30 minutes' AND u.status = 'active'
    UNION ALL
    SELECT FALSE, t.id, t.user_id, u.username, t.scopes, t.repository_ids, 0::float8,
           refusing_organizations(t.id, t.user_id),
           coalesce(t.last_used_at < now() - interval '5 minutes', TRUE)
    FROM api_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = p_token_hash AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
      AND (t.parent_id IS NULL OR token_is_live(t.parent_id)) AND u.status = 'active'
$$;

CREATE FUNCTION public.lock_ancestry(p_directory text) RETURNS SETOF text
    LANGUAGE plpgsql IMMUTABLE ROWS 5 PARALLEL SAFE
    AS $$
DECLARE
    v_part TEXT;
    v_above TEXT := '';
BEGIN
    FOREACH v_part IN ARRAY string_to_array(rtrim(p_directory, '/'), '/') LOOP
        v_above := v_above || v_part || '/';
        RETURN NEXT v_above;
    END LOOP;
END;
$$;

CREATE FUNCTION public.lock_conflicts(p_repository_id uuid, p_user_id uuid, p_paths text[]) RETURNS TABLE(path text, lock_id uuid, lock_path text, owner_id uuid, reason text, fence bigint, locked_at timestamp with time zone, expires_at timestamp with time zone)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN QUERY
    SELECT o.path, l.id, l.path, l.owner_id, l.reason, l.fence, l.locked_at, l.expires_at
    FROM locks_over(p_repository_id, p_paths, v_now) o
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = o.lock_id OFFSET 0) l
    WHERE lock_forbids_change(l.owner_id, l.lock_type, p_user_id)
    ORDER BY o.path COLLATE "C", l.path;
END;
$$;

CREATE FUNCTION public.lock_ends_with_push(p_holder_id uuid, p_release_on_push boolean, p_user_id uuid) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT p_release_on_push AND p_holder_id IS NOT DISTINCT FROM p_user_id $$;

CREATE FUNCTION public.lock_excludes(p_path text, p_holder_id uuid, p_type text, p_asked_path text, p_user_id uuid, p_asked_type text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT lock_types_conflict(p_type, p_asked_type)
       AND CASE WHEN p_holder_id = p_user_id
                THEN p_path = p_asked_path AND p_type <> p_asked_type
                ELSE lock_paths_meet(p_path, p_asked_path) END
$$;

CREATE FUNCTION public.lock_forbids_change(p_holder_id uuid, p_type text, p_user_id uuid) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT p_type = 'exclusive' AND p_holder_id IS DISTINCT FROM p_user_id $$;

CREATE FUNCTION public.lock_owner_storage(p_repo_id uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(advisory_key('storage', r.owner_id::text))
    FROM repository_identities r
    JOIN owner_plans p ON p.owner_type = r.owner_type AND p.owner_id = r.owner_id
    WHERE r.id = p_repo_id AND p.plan_storage_bytes IS NOT NULL;
END;
$$;

CREATE FUNCTION public.lock_parent(p_path text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE strpos(rtrim(p_path, '/'), '/') WHEN 0 THEN '' ELSE
        left(rtrim(p_path, '/'), 1 - strpos(reverse(rtrim(p_path, '/')), '/')) END
$$;

CREATE FUNCTION public.lock_paths_meet(p_path text, p_other text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT p_path = p_other
        OR right(p_path, 1) = '/' AND starts_with(p_other, p_path)
        OR right(p_other, 1) = '/' AND starts_with(p_path, p_other)
$$;

CREATE FUNCTION public.lock_permits_change(p_holder_id uuid, p_type text, p_user_id uuid) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT p_type = 'exclusive' AND p_holder_id IS NOT DISTINCT FROM p_user_id $$;

CREATE FUNCTION public.lock_types_conflict(p_type text, p_other text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT 'exclusive' IN (p_type, p_other) AND 'advisory' NOT IN (p_type, p_other) $$;

CREATE FUNCTION public.lock_warning() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT INTERVAL '15 minutes' $$;

CREATE FUNCTION public.locked_places(p_repository_id uuid, p_user_id uuid, p_question text, p_after text, p_count bigint) RETURNS TABLE(path text)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN QUERY
    SELECT l.path FROM locks l
    WHERE l.repo_id = p_repository_id AND l.path > p_after
      AND (l.locked_at <= v_now AND l.expires_at > v_now) IS TRUE
      AND CASE p_question
          WHEN 'forbids' THEN lock_forbids_change(l.owner_id, l.lock_type, p_user_id)
          WHEN 'permits all below' THEN right(l.path, 1) = '/'
                                        AND lock_permits_change(l.owner_id, l.lock_type, p_user_id)
          WHEN 'ends' THEN lock_ends_with_push(l.owner_id, l.release_on_push, p_user_id) END
    ORDER BY l.path
    LIMIT p_count;
END;
$$;

CREATE FUNCTION public.locks_below(p_repository_id uuid, p_directories text[], p_user_id uuid, p_lock_type text, p_now timestamp with time zone, p_replaced uuid[]) RETURNS TABLE(directory text, lock_id uuid)
    LANGUAGE plpgsql STABLE ROWS 10
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
DECLARE
    v_directory TEXT;
    -- No lock is met from the last search on up to this path; v_met is the lock on it, if there is one.
    v_free_until TEXT COLLATE "C" := '';
    v_met TEXT COLLATE "C";
BEGIN
    FOR v_directory IN SELECT d.path FROM unnest(p_directories) AS d (path) ORDER BY d.path COLLATE "C" LOOP
        IF v_directory >= v_free_until THEN
            v_free_until := left(v_directory, -1) || '0';
            SELECT k.path INTO v_met FROM locks k
            WHERE k.repo_id = p_repository_id AND k.path > v_directory AND k.path < v_free_until
              AND (k.expires_at > p_now AND k.owner_id <> p_user_id AND k.id <> ALL (p_replaced)
                   AND lock_types_conflict(k.lock_type, p_lock_type)) IS TRUE
            ORDER BY k.path LIMIT 1;
            v_free_until := coalesce(v_met, v_free_until);
        END IF;
        IF starts_with(v_met, v_directory) THEN
            RETURN QUERY
            SELECT v_directory, k.id FROM locks k
            WHERE k.repo_id = p_repository_id AND k.path = v_met
              AND (k.expires_at > p_now AND k.owner_id <> p_user_id AND k.id <> ALL (p_replaced)
                   AND lock_types_conflict(k.lock_type, p_lock_type)) IS TRUE;
        END IF;
    END LOOP;
END;
$$;

CREATE FUNCTION public.locks_missing(p_repository_id uuid, p_user_id uuid, p_paths text[]) RETURNS text[]
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN ARRAY(
        SELECT asked.path COLLATE "C" FROM unnest(p_paths) AS asked (path)
        EXCEPT
        SELECT o.path
        FROM locks_over(p_repository_id, p_paths, v_now) o
        CROSS JOIN LATERAL (SELECT k.lock_type, k.owner_id FROM locks k WHERE k.id = o.lock_id OFFSET 0) l
        WHERE lock_permits_change(l.owner_id, l.lock_type, p_user_id)
        ORDER BY 1);
END;
$$;

CREATE FUNCTION public.locks_over(p_repository_id uuid, p_paths text[], p_now timestamp with time zone) RETURNS TABLE(path text, lock_id uuid)
    LANGUAGE sql STABLE ROWS 10
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
    SELECT asked.path, l.id
    FROM unnest(p_paths) AS asked (path)
    CROSS JOIN LATERAL (
        SELECT k.id FROM locks k
        WHERE k.repo_id = p_repository_id AND k.path = asked.path
          AND (k.locked_at <= p_now AND k.expires_at > p_now) IS TRUE OFFSET 0) l
    UNION ALL
    SELECT asked.path, l.id
    FROM (SELECT lock_parent(p.path) AS directory, array_agg(p.path) AS paths
          FROM unnest(p_paths) AS p (path) GROUP BY 1) AS inside
    CROSS JOIN LATERAL (SELECT a.path FROM lock_ancestry(inside.directory) AS a (path) OFFSET 0) above
    CROSS JOIN LATERAL (
        SELECT k.id FROM locks k
        WHERE k.repo_id = p_repository_id AND k.path = above.path
          AND (k.locked_at <= p_now AND k.expires_at > p_now) IS TRUE OFFSET 0) l
    CROSS JOIN LATERAL unnest(inside.paths) AS asked (path)
$$;

CREATE FUNCTION public.locks_stale(p_repository_id uuid, p_user_id uuid, p_lock_ids uuid[], p_fences bigint[]) RETURNS uuid[]
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN ARRAY(
        SELECT shown.id
        FROM unnest(p_lock_ids, p_fences) AS shown (id, fence)
        LEFT JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = shown.id OFFSET 0) l ON true
        WHERE (l.fence = shown.fence AND l.repo_id = p_repository_id AND l.owner_id = p_user_id
               AND l.locked_at <= v_now AND l.expires_at > v_now) IS NOT TRUE
        ORDER BY shown.id);
END;
$$;

CREATE FUNCTION public.lost_chunks(p_repo_id uuid, p_after text, p_count integer, p_steps integer) RETURNS TABLE(hash text, size integer, lost_at timestamp with time zone, is_here boolean)
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
DECLARE
    v_after TEXT := p_after;
    v_held TEXT := p_after;
    v_found INT := 0;
BEGIN
    FOR v_step IN 1..p_steps LOOP
        SELECT c.hash, c.size, c.lost_at INTO hash, size, lost_at FROM chunks c
        WHERE c.lost_at IS NOT NULL AND c.hash > v_after AND c.hash >= v_held ORDER BY c.hash LIMIT 1;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        v_after := hash;
        v_held := hash;
        IF p_repo_id IS NOT NULL THEN
            SELECT r.chunk_hash INTO v_held FROM chunk_refs r
            WHERE r.repo_id = p_repo_id AND r.chunk_hash >= v_after ORDER BY r.chunk_hash LIMIT 1;
            IF NOT FOUND THEN
                RETURN;
            END IF;
        END IF;
        IF v_held = hash THEN
            is_here := TRUE;
            RETURN NEXT;
            v_found := v_found + 1;
            IF v_found = p_count THEN
                RETURN;
            END IF;
        END IF;
    END LOOP;
    hash := v_after;
    is_here := FALSE;
    RETURN NEXT;
END;
$$;

CREATE TABLE public.locks (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    repo_id uuid NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    owner_id uuid NOT NULL,
    lock_type text DEFAULT 'exclusive'::text NOT NULL,
    reason text,
    locked_at_commit text,
    locked_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    fence bigint NOT NULL,
    release_on_push boolean DEFAULT false NOT NULL,
    warned_at timestamp with time zone,
    excl_key bigint GENERATED ALWAYS AS (
CASE lock_type
    WHEN 'exclusive'::text THEN fence
    ELSE (0)::bigint
END) STORED,
    path_key bigint GENERATED ALWAYS AS (hashtextextended(path, uuid_hash_extended(repo_id, (0)::bigint))) STORED,
    CONSTRAINT locks_expires_at_check CHECK ((expires_at > locked_at)),
    CONSTRAINT locks_lock_type_check CHECK ((lock_type = ANY (ARRAY['exclusive'::text, 'advisory'::text, 'shared'::text]))),
    CONSTRAINT locks_path_check CHECK (((octet_length(path) >= 1) AND (octet_length(path) <= 1024)))
);

COMMENT ON COLUMN public.locks.warned_at IS 'when the owner was told that the lock is about to expire';

CREATE FUNCTION public.mark_warned_locks(p_repository_id uuid, p_now timestamp with time zone, p_limit integer) RETURNS SETOF public.locks
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_ids UUID[] := ARRAY(
        SELECT l.id FROM locks l
        WHERE (l.repo_id = p_repository_id) IS TRUE AND l.expires_at > p_now AND l.expires_at <= p_now + lock_warning()
          AND l.warned_at IS NULL
        ORDER BY l.expires_at, l.path LIMIT p_limit);
BEGIN
    IF v_ids <> '{}' THEN
        UPDATE locks SET warned_at = p_now WHERE id = ANY (v_ids);
        PERFORM emit_lock_events('lock.expiring', p_repository_id, NULL, v_ids, NULL);
    END IF;
    RETURN QUERY
    SELECT l.* FROM unnest(v_ids) AS warned (id)
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = warned.id OFFSET 0) l;
END;
$$;

CREATE FUNCTION public.measure_chunks(p_repo_ids uuid[]) RETURNS TABLE(repo_id uuid, stored_bytes bigint, apportioned_bytes bigint)
    LANGUAGE sql STABLE
    AS $$
    WITH owned AS (
        SELECT id, owner_type, owner_id FROM repository_identities
        WHERE deleted_at IS NULL
          AND (owner_type, owner_id) IN (SELECT m.owner_type, m.owner_id FROM repository_identities m
                                         WHERE m.id = ANY (p_repo_ids))
    ), held AS (
        SELECT r.repo_id, r.stored_size, r.ref_count,
               count(*) OVER (PARTITION BY o.owner_type, o.owner_id, r.chunk_hash) AS holders
        FROM owned o JOIN chunk_refs r ON r.repo_id = o.id
    )
    SELECT h.repo_id, sum(h.stored_size)::BIGINT, sum(h.stored_size::FLOAT / h.holders)::BIGINT
    FROM held h
    WHERE h.repo_id = ANY (p_repo_ids) AND h.ref_count > 0
    GROUP BY h.repo_id
$$;

CREATE FUNCTION public.membership_level(p_role text, p_settings jsonb) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE
        WHEN p_role IN ('owner', 'admin') THEN 3
        WHEN p_role = 'member' THEN permission_level(coalesce(p_settings ->> 'member_permission', 'read'))
        ELSE 0
    END
$$;

CREATE FUNCTION public.mfa_missing(p_user_id uuid, p_org_id uuid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM organizations o JOIN users u ON u.id = p_user_id
                   WHERE o.id = p_org_id AND requires_mfa(o.settings) AND NOT u.mfa_enabled)
$$;

CREATE FUNCTION public.named_repository(p_owner text, p_name text) RETURNS uuid
    LANGUAGE sql STABLE
    AS $$
    SELECT r.repo_id
    FROM owner_names k
    CROSS JOIN LATERAL (SELECT n.repo_id FROM repository_names n
                        WHERE n.owner_type = k.owner_type AND n.owner_id = k.owner_id AND n.name_key = p_name
                        OFFSET 0) r
    WHERE k.name_key = p_owner
$$;

CREATE FUNCTION public.network_of(p_address inet) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT network(set_masklen(p_address, CASE family(p_address) WHEN 4 THEN 24 ELSE 64 END))::text
$$;

CREATE FUNCTION public.new_job_id() RETURNS uuid
    LANGUAGE sql
    AS $$
    SELECT encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::BIGINT) FROM 3) FROM 1 FOR 6
    ), 52, 1), 53, 1), 'hex')::UUID
$$;

CREATE FUNCTION public.note_obliterations() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE repositories SET has_obliterations = TRUE
    WHERE id IN (SELECT repo_id FROM changed) AND NOT has_obliterations;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.outbox_is_ahead() RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(greatest((SELECT e.xid FROM events e ORDER BY e.xid DESC, e.id DESC LIMIT 1),
                             (SELECT c.xid FROM event_cursors c ORDER BY c.xid DESC LIMIT 1),
                             (SELECT h.xid FROM event_horizon h))
                    > pg_snapshot_xmax(pg_current_snapshot()), false)
$$;

CREATE FUNCTION public.outbox_state(p_database_id text, p_xid xid8, p_id bigint) RETURNS TABLE(database_id text, settled text, is_lost boolean)
    LANGUAGE sql STABLE
    AS $$
    SELECT d.id::text, pg_snapshot_xmin(pg_current_snapshot())::text,
           coalesce(p_database_id <> d.id::text
                    OR (p_xid, p_id) < (h.xid, h.id)
                    OR p_xid > pg_snapshot_xmax(pg_current_snapshot()), false)
    FROM event_horizon h CROSS JOIN (SELECT database_id() AS id) d
$$;

CREATE FUNCTION public.owner_grants() RETURNS TABLE(owner_type text, owner_id uuid, user_id uuid, level integer, role text)
    LANGUAGE sql STABLE
    AS $$
    SELECT owner_type, owner_id, user_id, level, role FROM given_to_owners() WHERE NOT withheld
$$;

CREATE FUNCTION public.owner_permission(p_user_id uuid, p_owner_type text, p_owner_id uuid) RETURNS integer
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(max(level), 0) FROM owner_grants()
    WHERE owner_type = p_owner_type AND owner_id = p_owner_id AND user_id = p_user_id
$$;

CREATE FUNCTION public.permission_level(p_permission text) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE p_permission WHEN 'read' THEN 1 WHEN 'write' THEN 2 WHEN 'admin' THEN 3 ELSE 0 END
$$;

CREATE FUNCTION public.purge_events(p_keep interval, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_xid XID8;
    v_id BIGINT;
    v_count INT;
    v_until TIMESTAMPTZ := statement_timestamp() - p_keep;
BEGIN
    -- One at a time: the horizon only rises.
    IF NOT pg_try_advisory_xact_lock(advisory_key('retention', 'events')) THEN
        RETURN 0;
    END IF;
    -- How far the slowest consumer is.
    SELECT c.xid, c.id INTO v_xid, v_id FROM event_cursors c ORDER BY c.xid, c.id LIMIT 1;
    v_until := least(v_until, (SELECT e.created_at + INTERVAL '1 hour' FROM settled_events e
                               WHERE (e.xid, e.id) > (v_xid, v_id) ORDER BY e.xid, e.id LIMIT 1));
    WITH gone AS (
        DELETE FROM events WHERE id = ANY (ARRAY(
            SELECT e.id FROM settled_events e
            WHERE e.created_at < v_until
              AND (v_xid IS NULL OR (e.xid, e.id) <= (v_xid, v_id))
              AND NOT EXISTS (SELECT FROM dead_events d WHERE d.id = e.id OFFSET 0)
            ORDER BY e.xid, e.id LIMIT p_limit))
        RETURNING xid, id
    ), last AS (
        SELECT g.xid, g.id FROM gone g ORDER BY g.xid DESC, g.id DESC LIMIT 1
    )
    SELECT (SELECT count(*) FROM gone), l.xid, l.id INTO v_count, v_xid, v_id FROM last l;

    UPDATE event_horizon h SET xid = v_xid, id = v_id WHERE (h.xid, h.id) < (v_xid, v_id);
    RETURN coalesce(v_count, 0);
END;
$$;

CREATE FUNCTION public.purge_idempotency_keys(p_keep interval, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_count INT;
BEGIN
    IF NOT pg_try_advisory_xact_lock(advisory_key('retention', 'idempotency_keys')) THEN
        RETURN 0;
    END IF;
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
        SELECT k.ctid FROM idempotency_keys k
        WHERE k.created_at < statement_timestamp() - p_keep
        ORDER BY k.created_at LIMIT p_limit
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END;
$$;

CREATE FUNCTION public.purge_jobs(p_keep interval, p_keep_failed interval, p_limit integer) RETURNS integer
    LANGUAGE sql
    AS $$
    WITH old AS (
        SELECT j.id FROM jobs j
        WHERE j.status IN ('completed', 'failed', 'cancelled')
          AND j.completed_at < statement_timestamp() - p_keep
          AND (j.status <> 'failed' OR j.completed_at < statement_timestamp() - p_keep_failed)
        ORDER BY j.completed_at LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ), letters AS (
        DELETE FROM dead_letter_jobs WHERE original_job_id = ANY (ARRAY(SELECT id FROM old))
    ), gone AS (
        DELETE FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING 1
    )
    SELECT count(*)::INT FROM gone
$$;

CREATE FUNCTION public.purge_locks(p_repository_id uuid, p_limit bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_locks BIGINT;
    v_entries BIGINT;
BEGIN
    PERFORM FROM repository_identities WHERE id = p_repository_id AND deleted_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'repository % is not deleted', p_repository_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM take_lock_mutex(p_repository_id);
    DELETE FROM locks
    WHERE id = ANY (ARRAY(SELECT id FROM locks WHERE repo_id = p_repository_id LIMIT p_limit));
    GET DIAGNOSTICS v_locks = ROW_COUNT;
    DELETE FROM lock_history
    WHERE id = ANY (ARRAY(SELECT id FROM lock_history WHERE repo_id = p_repository_id LIMIT p_limit - v_locks));
    GET DIAGNOSTICS v_entries = ROW_COUNT;
    RETURN v_locks + v_entries;
END;
$$;

CREATE FUNCTION public.queue_copies(p_repo_id uuid, p_hashes text[]) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO due_copies (region, chunk_hash, repo_id, due_at)
    SELECT w.region, h.hash, p_repo_id, clock_timestamp() + make_interval(secs => p.replication_seconds)
    FROM repository_regions p
    CROSS JOIN LATERAL (SELECT DISTINCT region FROM unnest(p.regions) AS region) AS w
    CROSS JOIN (SELECT hash COLLATE "C" AS hash FROM unnest(p_hashes) AS hash) AS h
    WHERE p.repo_id = p_repo_id
    ORDER BY w.region, h.hash
    ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION public.queue_copies_for_all(p_hashes text[]) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO due_copies (region, chunk_hash, repo_id, due_at)
    SELECT DISTINCT w.region, r.chunk_hash, r.repo_id, clock_timestamp()
    FROM chunk_refs r
    JOIN repository_regions p ON p.repo_id = r.repo_id
    CROSS JOIN LATERAL unnest(p.regions) AS w (region)
    WHERE r.chunk_hash = ANY (p_hashes)
    ORDER BY w.region, r.chunk_hash, r.repo_id
    ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION public.record_usage(p_writer_id uuid, p_batch bigint, p_amounts public.usage_amounts[]) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO usage_writers AS w (writer_id, batch) VALUES (p_writer_id, p_batch)
    ON CONFLICT (writer_id) DO UPDATE
    SET batch = excluded.batch, written_at = excluded.written_at
    WHERE w.batch < excluded.batch;
    IF FOUND THEN
        INSERT INTO usage_metrics AS u (entity_type, entity_id, metric_date, api_requests, bandwidth_bytes,
                                        received_bytes, sent_bytes, push_count, pull_count)
        SELECT a.entity_type, a.entity_id, a.day, least(a.requests, 2147483647), a.received_bytes + a.sent_bytes,
               a.received_bytes, a.sent_bytes, a.pushes, a.pulls
        FROM unnest(p_amounts) AS a
        ORDER BY a.entity_type, a.entity_id, a.day
        ON CONFLICT (entity_type, entity_id, metric_date) DO UPDATE
        SET api_requests = least(u.api_requests::BIGINT + excluded.api_requests, 2147483647),
            bandwidth_bytes = u.bandwidth_bytes + excluded.bandwidth_bytes,
            received_bytes = u.received_bytes + excluded.received_bytes,
            sent_bytes = u.sent_bytes + excluded.sent_bytes,
            push_count = u.push_count + excluded.push_count,
            pull_count = u.pull_count + excluded.pull_count;
    END IF;
    RETURN clock_timestamp();
END;
$$;

CREATE FUNCTION public.reference_chunks(p_repo_id uuid, p_hashes text[], p_counts integer[], p_sizes integer[], OUT missing text[], OUT missized text[]) RETURNS record
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_nestloop TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    v_locked TEXT[];
    v_rows BIGINT;
BEGIN
    missized := '{}';
    v_locked := ARRAY(
        SELECT chunk_hash FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
        ORDER BY chunk_hash
        FOR NO KEY UPDATE);
    missing := ARRAY(SELECT unnest(p_hashes) EXCEPT SELECT unnest(v_locked) ORDER BY 1);
    IF cardinality(missing) > 0 THEN
        RETURN;
    END IF;

    WITH counted AS (
        UPDATE chunk_refs r
        SET ref_count = r.ref_count + d.n, claimed_at = NULL, last_seen_at = clock_timestamp(),
            storage_class = coalesce(r.storage_class, CASE WHEN d.size = 0 THEN 'standard' END)
        FROM (SELECT w.*, (SELECT c.size FROM chunks c WHERE c.hash = w.hash) AS real_size
              FROM unnest(p_hashes, p_counts, p_sizes) AS w (hash, n, size) OFFSET 0) d
        WHERE r.repo_id = p_repo_id AND r.chunk_hash = ANY (v_locked) AND r.chunk_hash = d.hash
        RETURNING CASE WHEN d.size > 0 AND d.real_size <> d.size THEN d.hash END AS missized
    )
    SELECT count(*), coalesce(array_agg(w.missized ORDER BY w.missized) FILTER (WHERE w.missized IS NOT NULL), '{}')
    INTO v_rows, missized
    FROM counted w;

    IF v_rows <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'counted % of % chunks: hashes must be distinct', v_rows, cardinality(p_hashes)
            USING ERRCODE = 'cardinality_violation';
    END IF;
END;
$$;

CREATE FUNCTION public.refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END;
$$;

CREATE FUNCTION public.refuse_deletion() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END;
$$;

CREATE FUNCTION public.refuse_kept_name() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM former_repository_names
               WHERE owner_type = NEW.owner_type AND owner_id = NEW.owner_id AND name_key = lower(NEW.name)
                 AND kept_until > clock_timestamp() AND repo_id <> NEW.id) THEN
        RAISE EXCEPTION 'the name is kept for another repository'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'former_repository_names_pkey';
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.refuse_new_keys() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the keys of % do not change', TG_TABLE_NAME USING ERRCODE = 'feature_not_supported';
END;
$$;

CREATE FUNCTION public.refuse_reference(p_constraint text, p_value text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'violates foreign key constraint "%": %', p_constraint, p_value
        USING ERRCODE = 'foreign_key_violation', CONSTRAINT = p_constraint;
END;
$$;

CREATE FUNCTION public.refusing_organizations(p_token_id uuid, p_user_id uuid) RETURNS uuid[]
    LANGUAGE sql STABLE
    AS $$
    SELECT ARRAY(
        SELECT o.id
        FROM organizations o
        WHERE o.id IN (
                SELECT m.org_id FROM organization_members m WHERE m.user_id = p_user_id
                UNION
                SELECT r.owner_id FROM given_singly() g JOIN repository_identities r ON r.id = g.repo_id
                WHERE g.user_id = p_user_id AND r.owner_type = 'organization')
          AND (o.settings ->> 'token_policy' IS NOT NULL
               OR EXISTS (SELECT FROM token_decisions d
                          WHERE d.token_id IN (SELECT id FROM token_line(p_token_id)) AND NOT d.approved))
          AND token_refusal(p_token_id, o.id) IS NOT NULL)
$$;

CREATE FUNCTION public.release_assets(p_repo_id uuid, p_hashes text[], p_counts integer[]) RETURNS TABLE(hash text, size bigint, is_obliterated boolean)
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_rows INT;
BEGIN
    PERFORM FROM assets a WHERE a.repo_id = p_repo_id AND a.hash = ANY (p_hashes) ORDER BY a.hash FOR UPDATE;

    UPDATE assets a SET ref_count = a.ref_count - d.n
    FROM unnest(p_hashes, p_counts) AS d (hash, n)
    WHERE a.repo_id = p_repo_id AND a.hash = d.hash;

    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'released % of % contents of repository %', v_rows, cardinality(p_hashes), p_repo_id
            USING ERRCODE = 'cardinality_violation';
    END IF;

    RETURN QUERY
    DELETE FROM assets a WHERE a.repo_id = p_repo_id AND a.hash = ANY (p_hashes) AND a.ref_count = 0
    RETURNING a.hash, a.size,
              EXISTS (SELECT FROM obliterations o WHERE o.repo_id = p_repo_id AND o.hash = a.hash);
END;
$$;

CREATE FUNCTION public.release_chunks(p_repo_id uuid, p_hashes text[], p_counts integer[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_rows INT;
BEGIN
    PERFORM FROM chunk_refs
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
    ORDER BY chunk_hash
    FOR NO KEY UPDATE;

    UPDATE chunk_refs r
    SET ref_count = r.ref_count - d.n,
        claimed_at = CASE WHEN r.ref_count = d.n THEN clock_timestamp() END
    FROM unnest(p_hashes, p_counts) AS d (hash, n)
    WHERE r.repo_id = p_repo_id AND r.chunk_hash = d.hash;

    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'released % of % chunks of repository %', v_rows, cardinality(p_hashes), p_repo_id
            USING ERRCODE = 'cardinality_violation';
    END IF;
END;
$$;

CREATE FUNCTION public.release_commits(p_repo_id uuid, p_age interval, p_limit bigint, OUT looked bigint, OUT released bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_until TIMESTAMPTZ := clock_timestamp() - p_age;
    v_parents TEXT[] := '{}';
    v_locked TEXT[] := '{}';
    v_is_listed BOOLEAN;
    v_heads TEXT[];
    v_held TEXT[];
    v_needless TEXT[];
BEGIN
    looked := 0;
    released := 0;
    PERFORM FROM repositories WHERE id = p_repo_id AND deleted_at IS NULL AND share_repository(id) FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WHILE looked < p_limit LOOP
        v_heads := v_parents;
        v_is_listed := cardinality(v_parents) = 0;
        IF v_is_listed THEN
            v_heads := ARRAY(
                SELECT commit_hash FROM former_heads
                WHERE repo_id = p_repo_id AND left_at <= v_until AND commit_hash <> ALL (v_locked)
                ORDER BY left_at
                LIMIT p_limit - looked
                FOR UPDATE SKIP LOCKED);
            EXIT WHEN cardinality(v_heads) = 0;
        END IF;

        v_held := ARRAY(
            SELECT hash FROM commits WHERE repo_id = p_repo_id AND hash = ANY (v_heads)
            ORDER BY hash
            FOR UPDATE SKIP LOCKED);
        IF cardinality(v_held) < cardinality(v_heads) THEN
            v_locked := v_locked || ARRAY(SELECT unnest(v_heads) EXCEPT SELECT unnest(v_held));
        END IF;

        -- OFFSET 0: each is looked up by its hash. Joined, all rows of the repository would be read.
        v_needless := ARRAY(
            SELECT h FROM unnest(v_held) AS h
            WHERE NOT EXISTS (SELECT FROM branches WHERE head_commit = h AND repo_id = p_repo_id OFFSET 0)
              AND NOT EXISTS (SELECT FROM tags WHERE repo_id = p_repo_id AND commit_hash = h OFFSET 0)
              AND NOT EXISTS (
                  SELECT FROM former_heads
                  WHERE repo_id = p_repo_id AND commit_hash = h AND left_at > v_until OFFSET 0)
              AND NOT EXISTS (
                  SELECT FROM (SELECT repo_id FROM commits WHERE parent_hashes @> ARRAY[h] OFFSET 0) k
                  WHERE k.repo_id = p_repo_id OFFSET 0));
        v_parents := ARRAY(
            SELECT DISTINCT p FROM commits c CROSS JOIN LATERAL unnest(c.parent_hashes) AS p
            WHERE c.repo_id = p_repo_id AND c.hash = ANY (v_needless));

        DELETE FROM former_heads
        WHERE repo_id = p_repo_id AND commit_hash = ANY (CASE WHEN v_is_listed THEN v_held ELSE v_needless END);
        DELETE FROM commits WHERE repo_id = p_repo_id AND hash = ANY (v_needless);

        looked := looked + cardinality(v_held);
        released := released + cardinality(v_needless);
    END LOOP;
    IF released > 0 THEN
        INSERT INTO former_heads (repo_id, commit_hash, left_at)
        SELECT p_repo_id, h, v_until
        FROM (SELECT unnest(v_parents || v_locked) AS h ORDER BY 1) AS d
        ON CONFLICT (repo_id, commit_hash) DO NOTHING;
        INSERT INTO released_histories AS r (repo_id) VALUES (p_repo_id)
        ON CONFLICT (repo_id) DO UPDATE SET released_at = clock_timestamp();
        UPDATE repository_stats SET commit_count = commit_count - released WHERE repo_id = p_repo_id;
    END IF;
END;
$$;

CREATE FUNCTION public.release_lists(p_repo_id uuid, p_lists bytea[]) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO released_lists (repo_id, recipe_hashes) SELECT p_repo_id, l FROM unnest(p_lists) AS l
$$;

CREATE FUNCTION public.release_locks(p_repository_id uuid, p_holder_id uuid, p_lock_ids uuid[]) RETURNS TABLE(server_time timestamp with time zone, lock_id uuid, released boolean)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_held UUID[] := ARRAY(
        SELECT h.lock_id FROM lock_history h
        WHERE h.lock_id = ANY (p_lock_ids) AND h.action = 'acquired'
          AND (h.repo_id = p_repository_id) IS TRUE AND (h.owner_id = p_holder_id) IS TRUE
    );
    v_now TIMESTAMPTZ;
    v_there UUID[];
    v_gone UUID[];
BEGIN
    IF cardinality(v_held) = 0 THEN
        RETURN QUERY SELECT greatest(clock_timestamp(), max(c.high_water)), NULL::UUID, NULL::BOOLEAN
                     FROM lock_clocks c WHERE c.repo_id = p_repository_id;
        RETURN;
    END IF;
    v_now := take_lock_mutex(p_repository_id);
    SELECT array_agg(h.id) FILTER (WHERE l.id IS NOT NULL), array_agg(h.id) FILTER (WHERE l.id IS NULL)
    INTO v_there, v_gone
    FROM unnest(v_held) AS h (id)
    LEFT JOIN LATERAL (SELECT k.id FROM locks k WHERE k.id = h.id OFFSET 0) l ON true;

    RETURN QUERY SELECT v_now, NULL::UUID, NULL::BOOLEAN;
    RETURN QUERY SELECT v_now, g.id, FALSE FROM unnest(v_gone) AS g (id);
    IF v_there IS NOT NULL THEN
        RETURN QUERY
        SELECT v_now, e.lock_id, e.action <> 'expired'
        FROM end_locks(p_repository_id, v_there, v_now,
                       ROW ('lock.released', 'released', p_holder_id, NULL)::lock_end) e;
    END IF;
END;
$$;

CREATE FUNCTION public.release_pushed_locks(p_repository_id uuid, p_user_id uuid, p_paths text[]) RETURNS TABLE(lock_id uuid, path text, fence bigint)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
    v_due UUID[];
BEGIN
    v_due := ARRAY(
        SELECT due.id
        FROM (SELECT DISTINCT l.path, l.id
              FROM locks_over(p_repository_id, p_paths, v_now) o
              CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = o.lock_id OFFSET 0) l
              WHERE lock_ends_with_push(l.owner_id, l.release_on_push, p_user_id)
              ORDER BY l.path, l.id) due
        -- Another push may have been faster.
        CROSS JOIN LATERAL (SELECT FROM locks k WHERE k.id = due.id FOR UPDATE) locked);
    IF v_due = '{}' THEN
        RETURN;
    END IF;
    UPDATE lock_clocks SET high_water = greatest(high_water, v_now) WHERE repo_id = p_repository_id;
    RETURN QUERY
    SELECT l.id, l.path, l.fence FROM unnest(v_due) AS due (id)
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = due.id OFFSET 0) l
    ORDER BY l.path, l.id;
    PERFORM end_locks(p_repository_id, v_due, v_now, ROW ('lock.released', 'released', p_user_id, NULL)::lock_end);
END;
$$;

CREATE FUNCTION public.release_repository_chunks(p_repo_id uuid, p_after text, p_limit bigint, p_grace interval, OUT last text, OUT released bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_hashes TEXT[];
    v_released TEXT[];
BEGIN
    PERFORM FROM repository_identities WHERE id = p_repo_id AND deleted_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'repository % is not deleted', p_repo_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    v_hashes := ARRAY(
        SELECT chunk_hash FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash > p_after COLLATE "C"
        ORDER BY chunk_hash
        LIMIT p_limit);
    last := v_hashes[cardinality(v_hashes)];

    PERFORM FROM chunks WHERE hash = ANY (v_hashes) ORDER BY hash FOR NO KEY UPDATE;

    PERFORM FROM chunk_refs
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (v_hashes)
    ORDER BY chunk_hash
    FOR UPDATE;

    WITH gone AS (
        DELETE FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash = ANY (v_hashes)
        RETURNING chunk_hash
    )
    SELECT array_agg(chunk_hash), count(*) INTO v_released, released FROM gone;

    UPDATE chunks
    SET ref_count = ref_count - 1,
        delete_after = CASE WHEN ref_count = 1 THEN clock_timestamp() + p_grace END
    WHERE hash = ANY (v_released);
END;
$$;

CREATE FUNCTION public.renew_jobs(p_ids uuid[], p_tokens uuid[], p_leases interval[]) RETURNS TABLE(job_id uuid, is_cancelled boolean)
    LANGUAGE sql
    AS $$
    WITH held AS (
        SELECT j.id, r.lease
        FROM unnest(p_ids, p_tokens, p_leases) AS r (id, token, lease) JOIN jobs j ON j.id = r.id
        WHERE j.id = ANY (p_ids) AND j.status = 'running' AND j.lease_token = r.token
        ORDER BY j.id FOR NO KEY UPDATE OF j
    )
    UPDATE jobs j SET locked_until = clock_timestamp() + h.lease
    FROM held h WHERE j.id = h.id AND j.id = ANY (ARRAY(SELECT id FROM held))
    RETURNING j.id, j.cancel_requested_at IS NOT NULL
$$;

CREATE FUNCTION public.renew_locks(p_repository_id uuid, p_holder_id uuid, p_lock_ids uuid[], p_fences bigint[], p_now timestamp with time zone, p_expires_at timestamp with time zone) RETURNS SETOF public.locks
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_ids UUID[] := ARRAY(
        SELECT shown.id
        FROM unnest(p_lock_ids, p_fences) AS shown (id, fence)
        CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = shown.id OFFSET 0) l
        WHERE l.repo_id = p_repository_id AND l.owner_id = p_holder_id AND l.fence = shown.fence AND l.expires_at > p_now);
BEGIN
    IF v_ids <> '{}' THEN
        UPDATE locks l
        SET expires_at = greatest(l.expires_at, p_expires_at),
            warned_at = CASE WHEN greatest(l.expires_at, p_expires_at) - p_now <= lock_warning() THEN p_now END
        WHERE l.id = ANY (v_ids);
        PERFORM emit_lock_events('lock.renewed', p_repository_id, p_holder_id, v_ids, NULL);
    END IF;
    RETURN QUERY
    SELECT l.* FROM unnest(v_ids) AS renewed (id)
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = renewed.id OFFSET 0) l;
END;
$$;

CREATE FUNCTION public.renumber_outbox() RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT outbox_is_ahead() THEN
        RETURN FALSE;
    END IF;
    LOCK TABLE event_cursors, events, event_horizon IN SHARE ROW EXCLUSIVE MODE;
    -- The events between two consumers get one number, in which they are in the order of their ids: none stands
    -- before an event that its transaction had seen.
    WITH places AS (
        SELECT DISTINCT xid, id FROM event_cursors
    ), moved AS (
        UPDATE event_cursors c SET id = 9223372036854775807, xid =
            (SELECT count(*) FROM places p WHERE (p.xid, p.id) <= (c.xid, c.id))::text::xid8
    )
    UPDATE events e SET xid =
        (SELECT count(*) + 1 FROM places p WHERE (p.xid, p.id) < (e.xid, e.id))::text::xid8;
    UPDATE event_horizon SET xid = '0', id = 0;
    RETURN TRUE;
END;
$$;

CREATE FUNCTION public.repository_chunk_totals(p_repo_id uuid, OUT chunk_count bigint, OUT storage_bytes bigint) RETURNS record
    LANGUAGE sql STABLE
    AS $$
    SELECT count(*), coalesce(sum(stored_size), 0) FROM chunk_refs WHERE repo_id = p_repo_id AND ref_count > 0
$$;

CREATE FUNCTION public.repository_held_bytes(p_repo_id uuid) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce((SELECT s.held_bytes FROM repository_storage s WHERE s.repo_id = p_repo_id), 0)
$$;

CREATE FUNCTION public.repository_permission(p_user_id uuid, p_repo_id uuid) RETURNS integer
    LANGUAGE sql STABLE
    AS $$
    SELECT level FROM repository_permissions(p_user_id) WHERE repo_id = p_repo_id
$$;

CREATE FUNCTION public.repository_permissions(p_user_id uuid) RETURNS TABLE(repo_id uuid, level integer)
    LANGUAGE sql STABLE
    AS $$
    SELECT r.id, greatest(
        CASE r.visibility
            WHEN 'public' THEN 1
            WHEN 'internal' THEN CASE WHEN p_user_id IS NOT NULL THEN 1 ELSE 0 END
            ELSE 0
        END,
        (SELECT max(o.level) FROM owner_grants() o
         WHERE o.owner_type = r.owner_type AND o.owner_id = r.owner_id AND o.user_id = p_user_id),
        (SELECT max(g.level) FROM single_grants() g WHERE g.repo_id = r.id AND g.user_id = p_user_id))
    FROM repository_identities r
    WHERE r.deleted_at IS NULL
$$;

CREATE FUNCTION public.requeue_dead_letter(p_job_id uuid) RETURNS uuid
    LANGUAGE sql
    AS $$
    UPDATE dead_letter_jobs d SET
        requeued_at = clock_timestamp(),
        requeued_as = enqueue_job(d.queue, d.job_type, d.payload, d.priority, INTERVAL '0', d.max_attempts, d.repo_id,
                                  d.requested_by)
    WHERE d.original_job_id = p_job_id AND d.requeued_at IS NULL
    RETURNING d.requeued_as
$$;

CREATE FUNCTION public.require_chunks_of_copies() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    v_absent TEXT := (SELECT min(n.chunk_hash) FROM changed n
                      WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.hash = n.chunk_hash OFFSET 0));
BEGIN
    IF v_absent IS NOT NULL THEN
        PERFORM refuse_reference('chunk_locations_chunk_hash_fkey', v_absent);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.require_pack_of_chunk() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM packs WHERE key = NEW.pack_key) THEN
        PERFORM refuse_reference('chunks_pack_fkey', NEW.pack_key);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.require_packs_of_chunks() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_absent TEXT := (SELECT min(d.pack_key) FROM (SELECT DISTINCT pack_key FROM changed) d
                      WHERE NOT EXISTS (SELECT FROM packs p WHERE p.key = d.pack_key OFFSET 0));
BEGIN
    IF v_absent IS NOT NULL THEN
        PERFORM refuse_reference('chunks_pack_fkey', v_absent);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.require_repositories_of_assets() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_repo_id UUID;
BEGIN
    FOR v_repo_id IN SELECT DISTINCT repo_id FROM changed ORDER BY repo_id LOOP
        PERFORM FROM repositories WHERE id = v_repo_id FOR KEY SHARE;
        IF NOT FOUND THEN
            PERFORM refuse_reference('assets_repo_id_fkey', v_repo_id::text);
        END IF;
    END LOOP;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.requires_mfa(p_settings jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT coalesce(p_settings @> '{"require_mfa": true}', FALSE)
$$;

CREATE FUNCTION public.reserve_attempt(p_buckets text[], p_limits integer[]) RETURNS double precision
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_wait DOUBLE PRECISION := throttle_wait(p_buckets);
BEGIN
    IF v_wait > 0 THEN
        RETURN v_wait;
    END IF;
    -- Inserts what is missing, and locks all of them in the order of their names.
    INSERT INTO login_throttles AS t (bucket, failures)
    SELECT b.bucket, 0 FROM unnest(p_buckets) AS b (bucket) ORDER BY b.bucket
    ON CONFLICT (bucket) DO UPDATE SET failures = t.failures;
    v_wait := throttle_wait(p_buckets);
    IF v_wait > 0 THEN
        RETURN v_wait;
    END IF;
    UPDATE login_throttles t SET
        failures = n.failures,
        window_started_at = n.started,
        blocked_until = CASE WHEN n.failures >= n.most
                             THEN clock_timestamp() + least(interval '1 minute' * 2 ^ least(n.failures - n.most, 4),
                                                            interval '15 minutes') END
    FROM (SELECT o.bucket, l.most,
                 CASE WHEN x.is_over THEN 1 ELSE o.failures + 1 END AS failures,
                 CASE WHEN x.is_over THEN clock_timestamp() ELSE o.window_started_at END AS started
          FROM unnest(p_buckets, p_limits) AS l (bucket, most)
          JOIN login_throttles o ON o.bucket = l.bucket
          CROSS JOIN LATERAL (SELECT o.window_started_at < clock_timestamp() - interval '15 minutes' AS is_over) x) n
    WHERE t.bucket = n.bucket;
    RETURN 0;
END;
$$;

CREATE FUNCTION public.reserve_storage(p_repo_id uuid, p_id uuid, p_bytes bigint, p_time interval) RETURNS TABLE(scope text, limit_bytes bigint, held_bytes bigint)
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM storage_limits(p_repo_id);
    IF NOT FOUND THEN
        RETURN;
    END IF;

    PERFORM FROM repository_identities WHERE id = p_repo_id AND share_repository(id) FOR KEY SHARE;
    INSERT INTO repository_storage (repo_id, held_bytes, stored_bytes, chunk_count) VALUES (p_repo_id, 0, 0, 0)
    ON CONFLICT (repo_id) DO NOTHING;
    PERFORM FROM repository_storage s WHERE s.repo_id = p_repo_id FOR NO KEY UPDATE;
    PERFORM lock_owner_storage(p_repo_id);

    DELETE FROM storage_reservations WHERE id IN (
        SELECT v.id FROM storage_reservations v WHERE v.expires_at <= clock_timestamp()
        ORDER BY v.id LIMIT 1000 FOR UPDATE SKIP LOCKED);
    RETURN QUERY
    SELECT l.scope, l.limit_bytes, l.held_bytes + l.reserved_bytes FROM storage_room(p_repo_id, NULL) l
    WHERE l.held_bytes + l.reserved_bytes > l.limit_bytes - p_bytes
    ORDER BY l.scope = 'repository' DESC
    LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO storage_reservations (id, repo_id, byte_count, expires_at)
        VALUES (p_id, p_repo_id, p_bytes, clock_timestamp() + p_time);
    END IF;
END;
$$;

CREATE FUNCTION public.scope_is_of_repositories(p_scope text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT split_part(p_scope, ':', 1) IN ('repo', 'webhook', 'lock')
$$;

CREATE FUNCTION public.seal_audit_rows(p_count integer) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_row audit_log;
    v_month DATE;
    v_chain audit_chains;
    v_xid XID8;
    v_id UUID;
    v_sealed INT := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(advisory_key('audit', 'seal')) THEN
        RETURN 0;
    END IF;
    SELECT c.xid, c.id INTO v_xid, v_id FROM audit_chains c ORDER BY c.xid DESC, c.id DESC LIMIT 1;
    -- From a dump of a cluster whose transactions have higher numbers: new rows come before the old ones.
    IF v_xid >= pg_snapshot_xmax(pg_current_snapshot()) THEN
        UPDATE audit_chains SET xid = '0', id = '00000000-0000-0000-0000-000000000000';
        v_xid := NULL;
        v_id := NULL;
    END IF;
    FOR v_row IN
        SELECT settled.* FROM (
            SELECT a.* FROM audit_log a
            WHERE (a.xid, a.id) > (coalesce(v_xid, '0'), coalesce(v_id, '00000000-0000-0000-0000-000000000000'))
              AND a.xid < pg_snapshot_xmin(pg_current_snapshot())
              AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.row_id = a.id)
            ORDER BY a.xid, a.id
            LIMIT p_count) settled
        ORDER BY date_trunc('month', settled."timestamp" AT TIME ZONE 'UTC'), settled.xid, settled.id
    LOOP
        v_month := date_trunc('month', v_row."timestamp" AT TIME ZONE 'UTC')::date;
        IF v_chain.month IS DISTINCT FROM v_month THEN
            PERFORM store_audit_chain(v_chain);
            v_chain := audit_chain_of(v_month);
        END IF;
        v_chain.length := v_chain.length + 1;
        v_chain.head := sha256(v_chain.head || convert_to(audit_row_text(v_row), 'UTF8'));
        INSERT INTO audit_seals (month, position, row_id, hash)
        VALUES (v_month, v_chain.length, v_row.id, v_chain.head);
        v_chain.xid := v_row.xid;
        v_chain.id := v_row.id;
        v_sealed := v_sealed + 1;
    END LOOP;
    PERFORM store_audit_chain(v_chain);
    RETURN v_sealed;
END;
$$;

CREATE FUNCTION public.settle_storage(p_repo_id uuid, p_added bigint, p_reservation uuid, p_time interval) RETURNS TABLE(scope text, limit_bytes bigint, held_bytes bigint)
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM lock_owner_storage(p_repo_id);

    IF p_reservation IS NOT NULL THEN
        UPDATE storage_reservations
        SET byte_count = greatest(byte_count - p_added, 0), expires_at = clock_timestamp() + p_time
        WHERE id = p_reservation AND repo_id = p_repo_id;
    END IF;

    PERFORM emit_event('repo.storage_nearly_full', p_repo_id, NULL, NULL, jsonb_build_object(
        'owner', o.name, 'name', i.name, 'storage_scope', l.scope, 'storage_percent', t.share,
        'storage_limit_bytes', l.limit_bytes::text, 'storage_held_bytes', l.held_bytes::text))
    FROM storage_limits(p_repo_id) l
    CROSS JOIN LATERAL (SELECT max(share) AS share FROM unnest(ARRAY[80, 95]) AS share
                        WHERE l.held_bytes - p_added < l.limit_bytes / 100.0 * share
                          AND l.held_bytes >= l.limit_bytes / 100.0 * share) t
    JOIN repository_identities i ON i.id = p_repo_id
    JOIN owner_identities o ON o.owner_type = i.owner_type AND o.owner_id = i.owner_id
    WHERE t.share IS NOT NULL AND l.held_bytes <= l.limit_bytes;

    RETURN QUERY
    SELECT l.scope, l.limit_bytes, l.held_bytes + l.reserved_bytes FROM storage_room(p_repo_id, p_reservation) l
    WHERE l.held_bytes + l.reserved_bytes > l.limit_bytes
    ORDER BY l.scope = 'repository' DESC
    LIMIT 1;
END;
$$;

CREATE FUNCTION public.share_lock_mutex(p_repository_id uuid) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(advisory_key('locks', p_repository_id::TEXT));
    RETURN greatest(clock_timestamp(), (SELECT high_water FROM lock_clocks WHERE repo_id = p_repository_id));
END;
$$;

CREATE FUNCTION public.share_repository(p_repo_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(advisory_key('repository', p_repo_id::TEXT));
    RETURN TRUE;
END;
$$;

CREATE FUNCTION public.signing_verdict(p_fingerprint text, p_email_key text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce((
        SELECT CASE
            WHEN u.status <> 'active' THEN 'inactive_account'
            WHEN u.email_key IS DISTINCT FROM p_email_key THEN 'other_address'
            WHEN NOT u.email_verified THEN 'unverified_address'
            ELSE 'good'
        END
        FROM ssh_keys k JOIN users u ON u.id = k.user_id
        WHERE k.fingerprint = p_fingerprint), 'unknown_key')
$$;

CREATE FUNCTION public.single_grants() RETURNS TABLE(repo_id uuid, user_id uuid, level integer, team_id uuid)
    LANGUAGE sql STABLE
    AS $$
    SELECT g.repo_id, g.user_id, g.level, g.team_id FROM given_singly() g
    WHERE NOT withholds_rights(g.repo_id, g.user_id)
$$;

CREATE FUNCTION public.storage_limits(p_repo_id uuid) RETURNS TABLE(scope text, limit_bytes bigint, held_bytes bigint)
    LANGUAGE sql STABLE
    AS $$
    SELECT 'repository', l.max_storage_bytes, repository_held_bytes(p_repo_id)
    FROM repository_storage_limits l
    WHERE l.repo_id = p_repo_id AND l.max_storage_bytes > 0
    UNION ALL
    SELECT p.owner_type, p.plan_storage_bytes,
           coalesce((SELECT sum(s.held_bytes)::BIGINT
                     FROM repository_identities o JOIN repository_storage s ON s.repo_id = o.id
                     WHERE o.owner_type = p.owner_type AND o.owner_id = p.owner_id AND o.deleted_at IS NULL), 0)
    FROM repository_identities r
    JOIN owner_plans p ON p.owner_type = r.owner_type AND p.owner_id = r.owner_id
    WHERE r.id = p_repo_id AND p.plan_storage_bytes IS NOT NULL
$$;

CREATE FUNCTION public.storage_rank(p_class text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE p_class WHEN 'deep_archive' THEN 4 WHEN 'glacier' THEN 3 WHEN 'infrequent' THEN 2 ELSE 1 END
$$;

CREATE FUNCTION public.storage_room(p_repo_id uuid, p_without uuid) RETURNS TABLE(scope text, limit_bytes bigint, held_bytes bigint, reserved_bytes bigint)
    LANGUAGE sql STABLE
    AS $$
    SELECT l.scope, l.limit_bytes, l.held_bytes,
           coalesce((SELECT sum(v.byte_count)::BIGINT
                     FROM repository_identities r
                     JOIN repository_identities o
                       ON o.id = r.id
                       OR l.scope <> 'repository' AND o.owner_type = r.owner_type AND o.owner_id = r.owner_id
                          AND o.deleted_at IS NULL
                     JOIN storage_reservations v ON v.repo_id = o.id
                     WHERE r.id = p_repo_id AND v.expires_at > clock_timestamp()
                       AND v.id IS DISTINCT FROM p_without), 0)
    FROM storage_limits(p_repo_id) l
$$;

CREATE FUNCTION public.store_audit_chain(p_chain public.audit_chains) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE audit_chains SET length = p_chain.length, head = p_chain.head, xid = p_chain.xid, id = p_chain.id
    WHERE month = p_chain.month
$$;

CREATE FUNCTION public.subtract_held_bytes() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    PERFORM FROM repository_storage WHERE repo_id IN (SELECT o.repo_id FROM changed o)
    ORDER BY repo_id FOR NO KEY UPDATE;
    UPDATE repository_storage s
    SET held_bytes = s.held_bytes - d.size, stored_bytes = s.stored_bytes - d.stored,
        chunk_count = s.chunk_count - d.count
    FROM (SELECT o.repo_id, sum(c.size) AS size, sum(o.stored_size) AS stored, count(*) AS count
          FROM changed o CROSS JOIN LATERAL (SELECT size FROM chunks WHERE hash = o.chunk_hash OFFSET 0) c
          GROUP BY o.repo_id) d
    WHERE s.repo_id = d.repo_id;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.take_lock_mutex(p_repository_id uuid) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_now TIMESTAMPTZ;
BEGIN
    PERFORM pg_advisory_xact_lock(advisory_key('locks', p_repository_id::TEXT));
    INSERT INTO lock_clocks AS c (repo_id, high_water) VALUES (p_repository_id, clock_timestamp())
    ON CONFLICT (repo_id) DO UPDATE SET high_water = greatest(c.high_water, clock_timestamp())
    RETURNING high_water INTO v_now;
    RETURN v_now;
END;
$$;

CREATE FUNCTION public.throttle_wait(p_buckets text[]) RETURNS double precision
    LANGUAGE sql
    AS $$
    SELECT greatest(0, extract(epoch FROM max(blocked_until) - clock_timestamp()))::DOUBLE PRECISION
    FROM login_throttles WHERE bucket = ANY (p_buckets)
$$;

CREATE FUNCTION public.token_is_live(p_token_id uuid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    WITH RECURSIVE chain AS (
        SELECT t.parent_id, t.revoked_at, t.expires_at FROM api_tokens t WHERE t.id = p_token_id
        UNION ALL
        SELECT p.parent_id, p.revoked_at, p.expires_at FROM chain c JOIN api_tokens p ON p.id = c.parent_id
    )
    SELECT bool_and(revoked_at IS NULL AND coalesce(expires_at > now(), TRUE)) FROM chain
$$;

CREATE FUNCTION public.token_line(p_token_id uuid) RETURNS TABLE(id uuid, generation smallint, scopes text[], created_at timestamp with time zone, expires_at timestamp with time zone)
    LANGUAGE sql STABLE
    AS $$
    WITH RECURSIVE line AS (
        SELECT t.* FROM api_tokens t WHERE t.id = p_token_id
        UNION ALL
        SELECT p.* FROM line l JOIN api_tokens p ON p.id = l.parent_id
    )
    SELECT l.id, l.generation, l.scopes, l.created_at, l.expires_at FROM line l
$$;

CREATE FUNCTION public.token_refusal(p_token_id uuid, p_org_id uuid) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT r.rule
    FROM (SELECT t.generation, CASE
              WHEN NOT d.approved THEN 'rejected'
              WHEN t.expires_at > t.created_at + make_interval(days => (o.policy ->> 'longest_days')::int)
                   OR (t.expires_at IS NULL AND o.policy ? 'longest_days') THEN 'longest_days'
              WHEN o.policy ? 'allowed_scopes'
                   AND EXISTS (SELECT FROM unnest(t.scopes) s
                               WHERE scope_is_of_repositories(s) AND NOT o.policy -> 'allowed_scopes' ? s)
                   THEN 'allowed_scopes'
              WHEN o.policy ? 'needs_approval' AND d.approved IS NULL THEN 'needs_approval'
          END AS rule
          FROM token_line(p_token_id) t
          JOIN (SELECT id, settings -> 'token_policy' AS policy FROM organizations) o ON o.id = p_org_id
          LEFT JOIN token_decisions d ON d.token_id = t.id AND d.org_id = o.id) r
    WHERE r.rule IS NOT NULL
    ORDER BY r.generation DESC LIMIT 1
$$;

CREATE FUNCTION public.update_repo_stats(p_repo_id uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_logical BIGINT;
    v_chunks BIGINT;
    v_stored BIGINT;
BEGIN
    INSERT INTO repository_stats (repo_id) VALUES (p_repo_id) ON CONFLICT (repo_id) DO NOTHING;
    PERFORM FROM repository_stats WHERE repo_id = p_repo_id FOR UPDATE;

    SELECT coalesce(sum(size), 0) INTO v_logical FROM assets a
    WHERE repo_id = p_repo_id
      AND NOT EXISTS (SELECT FROM obliterations o WHERE o.repo_id = a.repo_id AND o.hash = a.hash);
    SELECT chunk_count, storage_bytes INTO v_chunks, v_stored FROM repository_chunk_totals(p_repo_id);

    UPDATE repository_stats
    SET commit_count = (SELECT count(*) FROM commits WHERE repo_id = p_repo_id),
        branch_count = (SELECT count(*) FROM branches
                        WHERE repo_id = p_repo_id AND NOT starts_with(name, 'shelves/')),
        tag_count = (SELECT count(*) FROM tags WHERE repo_id = p_repo_id),
        contributor_count = (
            SELECT count(DISTINCT lower(author_email)) FROM commits WHERE repo_id = p_repo_id),
        file_count = (SELECT count(*) FROM assets WHERE repo_id = p_repo_id),
        chunk_count = v_chunks,
        storage_bytes = v_stored,
        logical_bytes = v_logical,
        dedup_ratio = CASE WHEN v_stored > 0 THEN v_logical::FLOAT / v_stored ELSE 1.0 END,
        last_activity_at = (
            SELECT greatest(r.pushed_at,
                            (SELECT max(created_at) FROM commits WHERE repo_id = p_repo_id),
                            (SELECT max(updated_at) FROM branches WHERE repo_id = p_repo_id),
                            (SELECT max(created_at) FROM tags WHERE repo_id = p_repo_id))
            FROM repositories r WHERE r.id = p_repo_id),
        calculated_at = clock_timestamp()
    WHERE repo_id = p_repo_id;
END;
$$;

CREATE FUNCTION public.update_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.updated_at = NOW();
    RETURN NEW;
END;
$$;

CREATE FUNCTION public.withheld_permission(p_user_id uuid, p_repo_id uuid) RETURNS integer
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE WHEN withholds_rights(p_repo_id, p_user_id) THEN greatest(
        (SELECT max(o.level) FROM repository_identities r
         JOIN given_to_owners() o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
         WHERE r.id = p_repo_id AND r.deleted_at IS NULL AND o.user_id = p_user_id),
        (SELECT max(g.level) FROM repository_identities r JOIN given_singly() g ON g.repo_id = r.id
         WHERE r.id = p_repo_id AND r.deleted_at IS NULL AND g.user_id = p_user_id), 0) ELSE 0 END
$$;

CREATE FUNCTION public.withholds_rights(p_repo_id uuid, p_user_id uuid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM users WHERE id = p_user_id AND NOT mfa_enabled) AND EXISTS (
        SELECT FROM repository_identities r
        WHERE r.id = p_repo_id AND r.owner_type = 'organization' AND mfa_missing(p_user_id, r.owner_id))
$$;

CREATE TABLE public.api_tokens (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    token_hash text NOT NULL,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    last_used_ip inet,
    revoked_at timestamp with time zone,
    repository_ids uuid[],
    parent_id uuid,
    generation smallint DEFAULT 0 NOT NULL,
    end_noticed_at timestamp with time zone,
    CONSTRAINT api_tokens_generation_check CHECK (((generation >= 0) AND (generation <= 7))),
    CONSTRAINT api_tokens_generation_parent_check CHECK (((generation = 0) = (parent_id IS NULL))),
    CONSTRAINT api_tokens_repository_ids_check CHECK ((cardinality(repository_ids) > 0))
);

COMMENT ON COLUMN public.api_tokens.repository_ids IS 'the only repositories it opens; NULL: all of its user''s';

COMMENT ON COLUMN public.api_tokens.parent_id IS 'the token that made it, and with which it ends; NULL: a session made it';

COMMENT ON COLUMN public.api_tokens.generation IS 'how many tokens stand above it: an access check reads them all';

CREATE TABLE public.assets (
    repo_id uuid NOT NULL,
    hash text NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    mime_type text,
    file_name text,
    chunk_count integer NOT NULL,
    metadata jsonb,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    ref_count integer DEFAULT 0 NOT NULL,
    recipe_hash text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT assets_ref_count_check CHECK ((ref_count >= 0))
)
WITH (fillfactor='80');
ALTER TABLE ONLY public.assets ALTER COLUMN repo_id SET STATISTICS 0;

CREATE TABLE public.audit_log_default (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    "timestamp" timestamp with time zone DEFAULT now() NOT NULL,
    actor_id uuid,
    actor_type text NOT NULL,
    action text NOT NULL,
    resource_type text NOT NULL,
    resource_id text NOT NULL,
    resource_name text,
    details jsonb,
    ip_address inet,
    user_agent text,
    request_id text,
    repo_id uuid,
    org_id uuid,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL
);

CREATE TABLE public.audit_seals (
    month date NOT NULL,
    "position" bigint NOT NULL,
    row_id uuid NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT audit_seals_hash_check CHECK ((length(hash) = 32))
);

CREATE TABLE public.billing_snapshots (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    snapshot_date date NOT NULL,
    storage_bytes bigint NOT NULL,
    bandwidth_bytes bigint NOT NULL,
    active_users integer NOT NULL,
    repo_count integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.branch_follows (
    user_id uuid NOT NULL,
    repo_id uuid NOT NULL,
    branch text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.branches (
    repo_id uuid NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    head_commit text NOT NULL COLLATE pg_catalog."C",
    created_from text COLLATE pg_catalog."C",
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    is_default boolean DEFAULT false NOT NULL,
    protection jsonb
);

COMMENT ON COLUMN public.branches.protection IS 'the JSON of a dits.repo.v1.BranchProtection; NULL = nothing';

CREATE TABLE public.chunk_erasures (
    chunk_hash text NOT NULL COLLATE pg_catalog."C",
    deleted_at timestamp with time zone
);

COMMENT ON COLUMN public.chunk_erasures.deleted_at IS 'when the collection deleted the chunk; NULL = it has not, or no pack holds its bytes';

CREATE TABLE public.chunk_locations (
    chunk_hash text NOT NULL COLLATE pg_catalog."C",
    region text NOT NULL,
    bucket text NOT NULL,
    storage_key text NOT NULL,
    replicated_at timestamp with time zone DEFAULT now() NOT NULL,
    pack_key text GENERATED ALWAYS AS (split_part(storage_key, '@'::text, 1)) STORED COLLATE pg_catalog."C"
);

CREATE TABLE public.chunk_refs (
    repo_id uuid NOT NULL,
    chunk_hash text NOT NULL COLLATE pg_catalog."C",
    ref_count integer DEFAULT 0 NOT NULL,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    claimed_at timestamp with time zone DEFAULT date_trunc('milliseconds'::text, clock_timestamp()),
    stored_size integer NOT NULL,
    encryption_key_id text,
    storage_class text,
    restored_until timestamp with time zone,
    CONSTRAINT chunk_refs_claimed_at_check CHECK (((ref_count = 0) = (claimed_at IS NOT NULL))),
    CONSTRAINT chunk_refs_encryption_key_id_check CHECK ((encryption_key_id <> ''::text)),
    CONSTRAINT chunk_refs_ref_count_check CHECK ((ref_count >= 0)),
    CONSTRAINT chunk_refs_storage_class_check CHECK ((storage_class = ANY (ARRAY['standard'::text, 'infrequent'::text, 'glacier'::text, 'deep_archive'::text])))
)
WITH (fillfactor='80');
ALTER TABLE ONLY public.chunk_refs ALTER COLUMN repo_id SET STATISTICS 0;

COMMENT ON COLUMN public.chunk_refs.last_seen_at IS 'when this repository last brought or read it, to a day';

COMMENT ON COLUMN public.chunk_refs.stored_size IS 'bytes of the chunk as this repository sent it, compressed or not';

COMMENT ON COLUMN public.chunk_refs.encryption_key_id IS 'key that the client has encrypted the chunk with, as this repository calls it; NULL = it is not encrypted';

COMMENT ON COLUMN public.chunk_refs.storage_class IS 'where this repository wants it, and how it may read it; NULL = hot, until its policy moves it; standard = always hot';

COMMENT ON COLUMN public.chunk_refs.restored_until IS 'until when this repository may read a chunk of an archive class';

CREATE TABLE public.chunk_restores (
    id uuid NOT NULL,
    repo_id uuid NOT NULL,
    job_id uuid NOT NULL,
    requested_by uuid,
    hashes bytea NOT NULL,
    is_permanent boolean NOT NULL,
    chunk_count integer NOT NULL,
    stored_bytes bigint NOT NULL,
    requested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expected_at timestamp with time zone NOT NULL,
    restored_at timestamp with time zone,
    restored_until timestamp with time zone
);

COMMENT ON COLUMN public.chunk_restores.hashes IS 'of the chunks, packed';

COMMENT ON COLUMN public.chunk_restores.is_permanent IS 'whether they become hot, and not only readable for a while';

CREATE TABLE public.chunks (
    hash text NOT NULL COLLATE pg_catalog."C",
    size integer NOT NULL,
    compressed_size integer,
    compression text,
    storage_class text DEFAULT 'standard'::text NOT NULL,
    storage_bucket text NOT NULL,
    storage_key text NOT NULL,
    ref_count integer DEFAULT 0 NOT NULL,
    encrypted boolean DEFAULT false NOT NULL,
    encryption_key_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_accessed_at timestamp with time zone,
    archived_at timestamp with time zone,
    delete_after timestamp with time zone,
    pack_key text GENERATED ALWAYS AS (split_part(storage_key, '@'::text, 1)) STORED COLLATE pg_catalog."C",
    lost_at timestamp with time zone,
    CONSTRAINT chunks_delete_after_check CHECK (((ref_count = 0) = (delete_after IS NOT NULL))),
    CONSTRAINT chunks_ref_count_check CHECK ((ref_count >= 0)),
    CONSTRAINT chunks_storage_class_check CHECK ((storage_class = ANY (ARRAY['standard'::text, 'infrequent'::text, 'glacier'::text, 'deep_archive'::text])))
)
WITH (fillfactor='90');

COMMENT ON COLUMN public.chunks.storage_class IS 'where it lies: no colder than the reference that wants it hottest';

COMMENT ON COLUMN public.chunks.encryption_key_id IS 'of the upload that brought it; what holds for a repository is in chunk_refs';

COMMENT ON COLUMN public.chunks.archived_at IS 'since when it lies in a class that is not read at once';

COMMENT ON COLUMN public.chunks.lost_at IS 'when no good copy was found; the bytes may be offered again';

CREATE TABLE public.commits (
    repo_id uuid NOT NULL,
    hash text NOT NULL COLLATE pg_catalog."C",
    parent_hashes text[] DEFAULT '{}'::text[] NOT NULL COLLATE pg_catalog."C",
    tree_hash text NOT NULL COLLATE pg_catalog."C",
    author_name text NOT NULL,
    author_email text NOT NULL,
    author_timestamp timestamp with time zone NOT NULL,
    committer_name text NOT NULL,
    committer_email text NOT NULL,
    committer_timestamp timestamp with time zone NOT NULL,
    message text NOT NULL,
    signature bytea,
    signature_verified boolean,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    signature_key text COLLATE pg_catalog."C",
    signature_email text COLLATE pg_catalog."C",
    signature_verdict text,
    generation bigint NOT NULL,
    changed_paths bytea,
    author_offset_minutes smallint DEFAULT 0 NOT NULL,
    committer_offset_minutes smallint DEFAULT 0 NOT NULL,
    CONSTRAINT commits_author_offset_minutes_check CHECK (((author_offset_minutes >= '-1439'::integer) AND (author_offset_minutes <= 1439))),
    CONSTRAINT commits_committer_offset_minutes_check CHECK (((committer_offset_minutes >= '-1439'::integer) AND (committer_offset_minutes <= 1439))),
    CONSTRAINT commits_generation_check CHECK ((generation >= 0))
);
ALTER TABLE ONLY public.commits ALTER COLUMN repo_id SET STATISTICS 0;

CREATE TABLE public.dead_events (
    consumer text NOT NULL,
    id bigint NOT NULL,
    type text NOT NULL,
    repo_id uuid,
    org_id uuid,
    actor_id uuid,
    payload jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    error text NOT NULL,
    died_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    requeued_at timestamp with time zone
);

CREATE TABLE public.dead_letter_jobs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    original_job_id uuid NOT NULL,
    queue text NOT NULL,
    job_type text NOT NULL,
    payload jsonb NOT NULL,
    error text NOT NULL,
    failed_at timestamp with time zone DEFAULT now() NOT NULL,
    retry_count integer NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    max_attempts integer DEFAULT 3 NOT NULL,
    repo_id uuid,
    requested_by uuid,
    requeued_at timestamp with time zone,
    requeued_as uuid,
    CONSTRAINT dead_letter_jobs_requeued_check CHECK (((requeued_at IS NULL) = (requeued_as IS NULL)))
);

COMMENT ON COLUMN public.dead_letter_jobs.failed_at IS 'unused by programs: jobs.completed_at is the same time, and stays as long';

CREATE TABLE public.deployment (
    singleton boolean DEFAULT true NOT NULL,
    cell integer,
    key_id bytea,
    CONSTRAINT deployment_cell_check CHECK ((cell >= 0)),
    CONSTRAINT deployment_key_id_check CHECK ((octet_length(key_id) = 4)),
    CONSTRAINT deployment_singleton_check CHECK (singleton)
);

COMMENT ON COLUMN public.deployment.key_id IS 'of the key of the server that began last';

CREATE TABLE public.due_copies (
    region text NOT NULL,
    chunk_hash text NOT NULL COLLATE pg_catalog."C",
    repo_id uuid NOT NULL,
    due_at timestamp with time zone NOT NULL
);

CREATE TABLE public.event_cursors (
    consumer text NOT NULL,
    xid xid8 DEFAULT '0'::xid8 NOT NULL,
    id bigint DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.event_horizon (
    singleton boolean DEFAULT true NOT NULL,
    xid xid8 DEFAULT '0'::xid8 NOT NULL,
    id bigint DEFAULT 0 NOT NULL,
    CONSTRAINT event_horizon_singleton_check CHECK (singleton)
);

CREATE TABLE public.events (
    id bigint NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    type text NOT NULL,
    repo_id uuid,
    org_id uuid,
    actor_id uuid,
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT events_type_check CHECK ((type ~ '^[a-z_]+(\.[a-z_]+)?$'::text))
);

ALTER TABLE public.events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.former_heads (
    repo_id uuid NOT NULL,
    commit_hash text NOT NULL COLLATE pg_catalog."C",
    left_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON COLUMN public.former_heads.left_at IS 'since when no branch or tag is at the commit; one may have come back';

CREATE TABLE public.former_names (
    name_key text NOT NULL COLLATE pg_catalog."C",
    owner_type text NOT NULL,
    owner_id uuid NOT NULL,
    kept_until timestamp with time zone NOT NULL,
    CONSTRAINT former_names_owner_type_check CHECK ((owner_type = ANY (ARRAY['user'::text, 'organization'::text])))
);

CREATE TABLE public.former_repository_names (
    owner_type text NOT NULL,
    owner_id uuid NOT NULL,
    name_key text NOT NULL COLLATE pg_catalog."C",
    repo_id uuid NOT NULL,
    kept_until timestamp with time zone NOT NULL
);

CREATE TABLE public.former_session_tokens (
    token_hash text NOT NULL,
    session_id uuid NOT NULL,
    replaced_at timestamp with time zone NOT NULL,
    sealed_successor bytea NOT NULL
);

CREATE TABLE public.idempotency_keys (
    method text NOT NULL,
    subject text NOT NULL,
    request_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    response bytea,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.inboxes (
    user_id uuid NOT NULL,
    last_number bigint DEFAULT 0 NOT NULL,
    digested_number bigint DEFAULT 0 NOT NULL
);

CREATE TABLE public.job_schedules (
    name text NOT NULL,
    cron text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    fired_at timestamp with time zone
);

CREATE TABLE public.lock_clocks (
    repo_id uuid NOT NULL,
    high_water timestamp with time zone NOT NULL,
    fence bigint DEFAULT 0 NOT NULL,
    CONSTRAINT lock_clocks_fence_check CHECK ((fence >= 0))
);

CREATE TABLE public.lock_history (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    lock_id uuid NOT NULL,
    repo_id uuid NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    owner_id uuid NOT NULL,
    action text NOT NULL,
    action_by uuid,
    action_at timestamp with time zone NOT NULL,
    reason text,
    fence bigint NOT NULL,
    lock_type text NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT lock_history_action_check CHECK ((action = ANY (ARRAY['acquired'::text, 'released'::text, 'expired'::text, 'force_released'::text]))),
    CONSTRAINT lock_history_lock_type_check CHECK ((lock_type = ANY (ARRAY['exclusive'::text, 'advisory'::text, 'shared'::text]))),
    CONSTRAINT lock_history_path_check CHECK (((octet_length(path) >= 1) AND (octet_length(path) <= 1024)))
);

CREATE TABLE public.login_throttles (
    bucket text NOT NULL,
    failures integer NOT NULL,
    window_started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    blocked_until timestamp with time zone,
    CONSTRAINT login_throttles_failures_check CHECK ((failures >= 0))
);

CREATE TABLE public.maintenance_runs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text NOT NULL,
    job_id uuid NOT NULL,
    requested_by uuid,
    outcome text DEFAULT 'running'::text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    renewed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamp with time zone,
    report jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT maintenance_runs_ended_check CHECK (((outcome = 'running'::text) = (ended_at IS NULL))),
    CONSTRAINT maintenance_runs_outcome_check CHECK ((outcome = ANY (ARRAY['running'::text, 'completed'::text, 'refused'::text, 'failed'::text, 'cancelled'::text, 'interrupted'::text])))
);

CREATE SEQUENCE public.manifest_condemnations
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.manifests (
    repo_id uuid NOT NULL,
    hash text NOT NULL COLLATE pg_catalog."C",
    commit_hash text NOT NULL COLLATE pg_catalog."C",
    parent_hash text COLLATE pg_catalog."C",
    entry_count integer NOT NULL,
    total_size bigint NOT NULL,
    chunk_count bigint NOT NULL,
    content bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    depth integer DEFAULT 1 NOT NULL,
    path_bytes integer DEFAULT 0 NOT NULL,
    delta_base text COLLATE pg_catalog."C",
    delta_depth smallint DEFAULT 0 NOT NULL,
    decoded_bytes integer DEFAULT 16777216 NOT NULL,
    condemned bigint,
    CONSTRAINT manifests_decoded_bytes_check CHECK ((decoded_bytes >= 0)),
    CONSTRAINT manifests_delta_check CHECK (((delta_base IS NULL) = (delta_depth = 0))),
    CONSTRAINT manifests_delta_depth_check CHECK (((delta_depth >= 0) AND (delta_depth <= 16)))
);
ALTER TABLE ONLY public.manifests ALTER COLUMN repo_id SET STATISTICS 0;
ALTER TABLE ONLY public.manifests ALTER COLUMN content SET STORAGE EXTERNAL;

COMMENT ON COLUMN public.manifests.commit_hash IS 'the commit that first brought it, which may be gone; others may share it';

COMMENT ON COLUMN public.manifests.parent_hash IS 'the same directory in the parent of that commit';

COMMENT ON COLUMN public.manifests.content IS 'zstd of the canonical bytes, with those of the base as dictionary';

COMMENT ON COLUMN public.manifests.depth IS 'directories in one another, this one included';

COMMENT ON COLUMN public.manifests.path_bytes IS 'length of the longest path below, from this directory on';

COMMENT ON COLUMN public.manifests.delta_base IS 'the manifest that content is a delta to; NULL = it stands alone';

COMMENT ON COLUMN public.manifests.delta_depth IS 'how many bases there are in one another, at most';

COMMENT ON COLUMN public.manifests.decoded_bytes IS 'canonical bytes of the manifest and of all its bases, at most';

COMMENT ON COLUMN public.manifests.condemned IS 'drawn from manifest_condemnations; NULL = not condemned';

CREATE TABLE public.namespaces (
    name_key text NOT NULL COLLATE pg_catalog."C",
    owner_type text NOT NULL,
    owner_id uuid NOT NULL,
    cell smallint DEFAULT 0 NOT NULL,
    CONSTRAINT namespaces_cell_check CHECK ((cell >= 0)),
    CONSTRAINT namespaces_owner_type_check CHECK ((owner_type = ANY (ARRAY['user'::text, 'organization'::text])))
);

COMMENT ON TABLE public.namespaces IS 'kept by triggers on users and organizations; write those';

COMMENT ON COLUMN public.namespaces.cell IS 'which database holds the repositories of the owner, and all that is in them';

CREATE TABLE public.notification_preferences (
    user_id uuid NOT NULL,
    email_on_mention boolean DEFAULT true NOT NULL,
    email_on_review_request boolean DEFAULT true NOT NULL,
    email_on_lock_expiry boolean DEFAULT true NOT NULL,
    email_on_push boolean DEFAULT false NOT NULL,
    email_digest text DEFAULT 'daily'::text NOT NULL,
    email_on_lock_loss boolean DEFAULT true NOT NULL,
    email_on_webhook_disabled boolean DEFAULT true NOT NULL,
    email_on_security boolean DEFAULT true NOT NULL,
    CONSTRAINT notification_preferences_email_digest_check CHECK ((email_digest = ANY (ARRAY['never'::text, 'daily'::text, 'weekly'::text])))
);

COMMENT ON COLUMN public.notification_preferences.email_on_review_request IS 'unused: there are no reviews yet';

COMMENT ON COLUMN public.notification_preferences.email_on_lock_loss IS 'a lock was released by force, stolen, or transferred by another user';

CREATE TABLE public.notifications (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    type text NOT NULL,
    title text NOT NULL,
    message text DEFAULT ''::text NOT NULL,
    link text DEFAULT ''::text NOT NULL,
    read boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    read_at timestamp with time zone,
    number bigint NOT NULL,
    source_id uuid NOT NULL,
    repo_id uuid,
    mailed_at timestamp with time zone,
    CONSTRAINT notifications_read_check CHECK ((read = (read_at IS NOT NULL)))
);

CREATE TABLE public.object_deletions (
    id bigint NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    bytes bigint DEFAULT 0 NOT NULL,
    not_before timestamp with time zone NOT NULL,
    CONSTRAINT object_deletions_bytes_check CHECK ((bytes >= 0))
);

COMMENT ON COLUMN public.object_deletions.bytes IS 'size of the object if it is known, else 0';

ALTER TABLE public.object_deletions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.object_deletions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.obliterations (
    repo_id uuid NOT NULL,
    hash text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL,
    obliterated_by uuid NOT NULL,
    obliterated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT obliterations_reason_check CHECK ((reason <> ''::text))
);

COMMENT ON TABLE public.obliterations IS 'contents of repositories whose bytes were removed, and may not come back';

CREATE TABLE public.one_time_tokens (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    purpose text NOT NULL,
    user_id uuid,
    token_hash text NOT NULL,
    context jsonb DEFAULT '{}'::jsonb NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    ip_address inet,
    CONSTRAINT one_time_tokens_purpose_check CHECK ((purpose = ANY (ARRAY['verify_email'::text, 'change_email'::text, 'reset_password'::text, 'mfa_challenge'::text, 'ssh_challenge'::text, 'ssh_key_proof'::text])))
);

CREATE TABLE public.organization_invitations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    email text NOT NULL COLLATE pg_catalog."C",
    role text DEFAULT 'member'::text NOT NULL,
    token_hash text NOT NULL,
    invited_by uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    accepted_at timestamp with time zone,
    revoked_at timestamp with time zone,
    declined_at timestamp with time zone,
    accepted_by uuid,
    email_folded text COLLATE pg_catalog."C",
    email_key text GENERATED ALWAYS AS (COALESCE(email_folded, lower(email))) STORED COLLATE pg_catalog."C",
    CONSTRAINT organization_invitations_email_folded_check CHECK (((email_folded IS NOT NULL) OR (octet_length(email) = char_length(email)))),
    CONSTRAINT organization_invitations_end_check CHECK ((num_nonnulls(accepted_at, declined_at, revoked_at) <= 1)),
    CONSTRAINT organization_invitations_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text, 'billing'::text])))
);

CREATE TABLE public.organization_members (
    org_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text DEFAULT 'member'::text NOT NULL,
    joined_at timestamp with time zone DEFAULT now() NOT NULL,
    invited_by uuid,
    CONSTRAINT organization_members_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text, 'billing'::text])))
);

CREATE TABLE public.organizations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    display_name text NOT NULL,
    description text,
    avatar_url text,
    email text,
    website text,
    billing_email text,
    plan text DEFAULT 'free'::text NOT NULL,
    plan_seats integer,
    plan_storage_bytes bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    deleted_at timestamp with time zone
);

CREATE TABLE public.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    username text NOT NULL COLLATE pg_catalog."C",
    email text NOT NULL COLLATE pg_catalog."C",
    email_verified boolean DEFAULT false NOT NULL,
    name text NOT NULL,
    avatar_url text,
    status text DEFAULT 'pending_verification'::text NOT NULL,
    status_reason text,
    status_until timestamp with time zone,
    preferences jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    last_active_at timestamp with time zone,
    deleted_at timestamp with time zone,
    email_folded text COLLATE pg_catalog."C",
    email_key text GENERATED ALWAYS AS (COALESCE(email_folded, lower(email))) STORED COLLATE pg_catalog."C",
    mfa_enabled boolean DEFAULT false NOT NULL,
    status_before text,
    plan_storage_bytes bigint,
    CONSTRAINT users_email_folded_check CHECK (((email_folded IS NOT NULL) OR (octet_length(email) = char_length(email)))),
    CONSTRAINT users_plan_storage_bytes_check CHECK ((plan_storage_bytes >= 0)),
    CONSTRAINT users_status_before_check CHECK ((status_before = ANY (ARRAY['active'::text, 'pending_verification'::text]))),
    CONSTRAINT users_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'pending_verification'::text, 'deleted'::text])))
);

COMMENT ON COLUMN public.users.email_key IS 'the spelling that stands for all spellings of the address';

CREATE VIEW public.organization_plans AS
 SELECT id AS org_id,
    plan,
    plan_seats,
    plan_storage_bytes,
    ( SELECT count(*) AS count
           FROM public.organization_members m
          WHERE (m.org_id = o.id)) AS member_count,
    ( SELECT count(*) AS count
           FROM (public.organization_members m
             JOIN public.users u ON ((u.id = m.user_id)))
          WHERE ((m.org_id = o.id) AND (u.last_active_at > (now() - '30 days'::interval)))) AS active_user_count
   FROM public.organizations o
  WHERE (deleted_at IS NULL);

CREATE VIEW public.owner_identities AS
 SELECT n.name_key,
    n.owner_type,
    n.owner_id,
    COALESCE(u.username, o.name) AS name,
    COALESCE(u.name, o.display_name) AS display_name,
    COALESCE((u.status = 'active'::text), (o.deleted_at IS NULL)) AS active,
    n.cell
   FROM ((public.namespaces n
     LEFT JOIN public.users u ON (((n.owner_type = 'user'::text) AND (u.id = n.owner_id))))
     LEFT JOIN public.organizations o ON (((n.owner_type = 'organization'::text) AND (o.id = n.owner_id))));

CREATE VIEW public.owner_names AS
 SELECT namespaces.name_key,
    namespaces.owner_type,
    namespaces.owner_id
   FROM public.namespaces
UNION ALL
 SELECT former_names.name_key,
    former_names.owner_type,
    former_names.owner_id
   FROM public.former_names
  WHERE (former_names.kept_until > clock_timestamp());

CREATE VIEW public.owner_plans AS
 SELECT n.owner_type,
    n.owner_id,
    COALESCE(u.plan_storage_bytes, o.plan_storage_bytes) AS plan_storage_bytes
   FROM ((public.namespaces n
     LEFT JOIN public.users u ON (((n.owner_type = 'user'::text) AND (u.id = n.owner_id))))
     LEFT JOIN public.organizations o ON (((n.owner_type = 'organization'::text) AND (o.id = n.owner_id))));

CREATE TABLE public.pack_uploads (
    id uuid NOT NULL,
    repo_id uuid NOT NULL,
    user_id uuid NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    bucket text NOT NULL,
    byte_count bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    confirmed_at timestamp with time zone,
    stored_chunk_count integer DEFAULT 0 NOT NULL,
    stored_bytes bigint DEFAULT 0 NOT NULL,
    conflicts bytea DEFAULT '\x'::bytea NOT NULL,
    CONSTRAINT pack_uploads_byte_count_check CHECK ((byte_count > 0))
);

CREATE TABLE public.packs (
    key text NOT NULL COLLATE pg_catalog."C",
    bucket text NOT NULL,
    region text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    live integer DEFAULT 0 NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    verified_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    prints bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    CONSTRAINT packs_bytes_check CHECK ((bytes >= 0)),
    CONSTRAINT packs_key_check CHECK ((POSITION(('@'::text) IN (key)) = 0)),
    CONSTRAINT packs_live_check CHECK ((live >= 0)),
    CONSTRAINT packs_sealed_check CHECK (((state = 'sealed'::text) = (live > 0))),
    CONSTRAINT packs_state_check CHECK ((state = ANY (ARRAY['open'::text, 'sealed'::text])))
);

COMMENT ON COLUMN public.packs.verified_at IS 'when all of its chunks were last read and found intact, or it was written';

COMMENT ON COLUMN public.packs.prints IS 'chunk_print of each chunk that was written into the pack, whether or not a row names it';

CREATE VIEW public.pack_usage AS
 SELECT key,
    bucket,
    region,
    live,
    bytes,
    created_at,
    ( SELECT (COALESCE(sum((NULLIF(split_part(named.storage_key, '+'::text, 2), ''::text))::bigint), (0)::numeric))::bigint AS "coalesce"
           FROM ( SELECT c.storage_key
                   FROM public.chunks c
                  WHERE (c.pack_key = p.key)
                UNION ALL
                 SELECT l.storage_key
                   FROM public.chunk_locations l
                  WHERE (l.pack_key = p.key)) named) AS live_bytes
   FROM public.packs p
  WHERE (state = 'sealed'::text);

CREATE TABLE public.released_histories (
    repo_id uuid NOT NULL,
    released_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.released_lists (
    id bigint NOT NULL,
    repo_id uuid NOT NULL,
    recipe_hashes bytea NOT NULL,
    released_to text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    erased_content text COLLATE pg_catalog."C",
    taken_to text COLLATE pg_catalog."C",
    lift_ends_at timestamp with time zone,
    CONSTRAINT released_lists_lift_check CHECK (((taken_to IS NULL) = (lift_ends_at IS NULL)))
);

COMMENT ON COLUMN public.released_lists.recipe_hashes IS 'packed, in order, as the file had them';

COMMENT ON COLUMN public.released_lists.released_to IS 'the chunks up to this hash are released, but for the recipes';

COMMENT ON COLUMN public.released_lists.erased_content IS 'the content that was obliterated; NULL = its chunks become claims';

COMMENT ON COLUMN public.released_lists.taken_to IS 'a lift has taken the recipes and the chunks up to this hash; NULL = the list is no lift';

COMMENT ON COLUMN public.released_lists.lift_ends_at IS 'until then nothing of the content is erased; each batch of the lift moves it';

ALTER TABLE public.released_lists ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.released_lists_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.repositories (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    description text,
    owner_type text NOT NULL,
    owner_id uuid NOT NULL,
    visibility text DEFAULT 'private'::text NOT NULL,
    default_branch text DEFAULT 'main'::text NOT NULL,
    archived boolean DEFAULT false NOT NULL,
    disabled boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    pushed_at timestamp with time zone,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    storage_bucket text NOT NULL,
    storage_region text NOT NULL,
    deleted_at timestamp with time zone,
    purge_started_at timestamp with time zone,
    disabled_reason text,
    has_obliterations boolean DEFAULT false NOT NULL,
    CONSTRAINT repositories_disabled_check CHECK ((disabled OR (disabled_reason IS NULL))),
    CONSTRAINT repositories_owner_type_check CHECK ((owner_type = ANY (ARRAY['user'::text, 'organization'::text]))),
    CONSTRAINT repositories_purge_check CHECK (((purge_started_at IS NULL) OR (deleted_at IS NOT NULL))),
    CONSTRAINT repositories_visibility_check CHECK ((visibility = ANY (ARRAY['private'::text, 'internal'::text, 'public'::text])))
);

COMMENT ON COLUMN public.repositories.storage_region IS 'region of the server that created it; where chunks lie says repository_settings.regions';

COMMENT ON COLUMN public.repositories.purge_started_at IS 'from then on it cannot be brought back';

COMMENT ON COLUMN public.repositories.has_obliterations IS 'whether a content was ever obliterated, even if that was lifted';

CREATE TABLE public.repository_collaborators (
    repo_id uuid NOT NULL,
    user_id uuid NOT NULL,
    permission text DEFAULT 'read'::text NOT NULL,
    added_by uuid,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT repository_collaborators_permission_check CHECK ((permission = ANY (ARRAY['admin'::text, 'write'::text, 'read'::text])))
);

CREATE TABLE public.team_repositories (
    team_id uuid NOT NULL,
    repo_id uuid NOT NULL,
    permission text DEFAULT 'read'::text NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    added_by uuid,
    CONSTRAINT team_repositories_permission_check CHECK ((permission = ANY (ARRAY['admin'::text, 'write'::text, 'read'::text])))
);

CREATE VIEW public.repository_grants AS
 SELECT repository_collaborators.repo_id,
    'user'::text AS grantee_type,
    repository_collaborators.user_id AS grantee_id,
    repository_collaborators.permission
   FROM public.repository_collaborators
UNION ALL
 SELECT team_repositories.repo_id,
    'team'::text AS grantee_type,
    team_repositories.team_id AS grantee_id,
    team_repositories.permission
   FROM public.team_repositories;

CREATE VIEW public.repository_identities AS
 SELECT id,
    owner_type,
    owner_id,
    name,
    visibility,
    archived,
    disabled,
    deleted_at,
    default_branch
   FROM public.repositories;

CREATE TABLE public.repository_settings (
    repo_id uuid NOT NULL,
    require_lock_for_edit boolean DEFAULT true NOT NULL,
    auto_generate_proxies boolean DEFAULT true NOT NULL,
    proxy_resolution text DEFAULT '1080p'::text,
    max_file_size_bytes bigint DEFAULT 0,
    allowed_extensions text[],
    lifecycle_policy jsonb,
    webhook_secret text,
    portable_names boolean DEFAULT true NOT NULL,
    max_storage_bytes bigint DEFAULT 0 NOT NULL,
    regions text[] DEFAULT '{}'::text[] NOT NULL,
    min_regions integer DEFAULT 0 NOT NULL,
    replication_seconds integer DEFAULT 0 NOT NULL,
    lock_patterns text[] DEFAULT '{}'::text[] NOT NULL,
    on_demand_patterns text[] DEFAULT '{}'::text[] NOT NULL,
    tag_protection jsonb,
    branch_rules jsonb,
    CONSTRAINT repository_settings_max_storage_bytes_check CHECK ((max_storage_bytes >= 0)),
    CONSTRAINT repository_settings_min_regions_check CHECK ((min_regions >= 0)),
    CONSTRAINT repository_settings_replication_seconds_check CHECK ((replication_seconds >= 0))
);

COMMENT ON COLUMN public.repository_settings.auto_generate_proxies IS 'unused: the server makes no proxies of media';

COMMENT ON COLUMN public.repository_settings.proxy_resolution IS 'unused: the server makes no proxies of media';

COMMENT ON COLUMN public.repository_settings.webhook_secret IS 'unused: each webhook has its own secret, encrypted, in webhooks';

CREATE VIEW public.repository_lifecycles AS
 SELECT repo_id,
    lifecycle_policy
   FROM public.repository_settings;

CREATE VIEW public.repository_names AS
 SELECT repositories.owner_type,
    repositories.owner_id,
    lower(repositories.name) AS name_key,
    repositories.id AS repo_id
   FROM public.repositories
  WHERE (repositories.deleted_at IS NULL)
UNION ALL
 SELECT former_repository_names.owner_type,
    former_repository_names.owner_id,
    former_repository_names.name_key,
    former_repository_names.repo_id
   FROM public.former_repository_names
  WHERE (former_repository_names.kept_until > clock_timestamp());

CREATE VIEW public.repository_regions AS
 SELECT repo_id,
    regions,
    min_regions,
    replication_seconds
   FROM public.repository_settings
  WHERE (regions <> '{}'::text[]);

CREATE TABLE public.repository_stats (
    repo_id uuid NOT NULL,
    commit_count bigint DEFAULT 0 NOT NULL,
    branch_count integer DEFAULT 0 NOT NULL,
    tag_count integer DEFAULT 0 NOT NULL,
    contributor_count integer DEFAULT 0 NOT NULL,
    file_count bigint DEFAULT 0 NOT NULL,
    chunk_count bigint DEFAULT 0 NOT NULL,
    storage_bytes bigint DEFAULT 0 NOT NULL,
    logical_bytes bigint DEFAULT 0 NOT NULL,
    dedup_ratio double precision DEFAULT 1.0 NOT NULL,
    last_activity_at timestamp with time zone,
    calculated_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON COLUMN public.repository_stats.commit_count IS 'commits';

COMMENT ON COLUMN public.repository_stats.branch_count IS 'branches, without shelves';

COMMENT ON COLUMN public.repository_stats.tag_count IS 'tags';

COMMENT ON COLUMN public.repository_stats.contributor_count IS 'e-mail addresses of authors, without regard to case';

COMMENT ON COLUMN public.repository_stats.file_count IS 'distinct file contents in the live history (assets)';

COMMENT ON COLUMN public.repository_stats.chunk_count IS 'distinct chunks of those contents';

COMMENT ON COLUMN public.repository_stats.storage_bytes IS 'bytes of those chunks as they were sent';

COMMENT ON COLUMN public.repository_stats.logical_bytes IS 'bytes of those contents, each counted once';

COMMENT ON COLUMN public.repository_stats.dedup_ratio IS 'logical_bytes / storage_bytes; 1 when nothing is stored';

COMMENT ON COLUMN public.repository_stats.last_activity_at IS 'last push; counted from the rows, also the last change of a branch or tag';

COMMENT ON COLUMN public.repository_stats.calculated_at IS 'when all was last counted from the rows';

CREATE TABLE public.repository_storage (
    repo_id uuid NOT NULL,
    held_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    chunk_count bigint NOT NULL,
    additions bigint DEFAULT 1 NOT NULL,
    erasures bigint DEFAULT 0 NOT NULL,
    CONSTRAINT repository_storage_chunk_count_check CHECK ((chunk_count >= 0)),
    CONSTRAINT repository_storage_held_bytes_check CHECK ((held_bytes >= 0)),
    CONSTRAINT repository_storage_stored_bytes_check CHECK ((stored_bytes >= 0))
)
WITH (fillfactor='50');

COMMENT ON COLUMN public.repository_storage.stored_bytes IS 'sum of chunk_refs.stored_size';

COMMENT ON COLUMN public.repository_storage.additions IS 'how often chunks were added; as long as it stays, what was absent is';

COMMENT ON COLUMN public.repository_storage.erasures IS 'how often chunks went without having been a claim';

CREATE VIEW public.repository_storage_limits AS
 SELECT repo_id,
    max_storage_bytes
   FROM public.repository_settings;

CREATE TABLE public.repository_transfers (
    repo_id uuid NOT NULL,
    owner_type text NOT NULL,
    owner_id uuid NOT NULL,
    requested_by uuid NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

COMMENT ON COLUMN public.repository_transfers.owner_id IS 'the new owner';

CREATE TABLE public.schema_functions (
    path text NOT NULL COLLATE pg_catalog."C",
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.schema_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    checksum text NOT NULL
);

CREATE TABLE public.sessions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    token_hash text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    last_active_at timestamp with time zone DEFAULT now() NOT NULL,
    ip_address inet,
    user_agent text,
    device_id text,
    mfa_verified boolean DEFAULT false NOT NULL,
    revoked_at timestamp with time zone,
    sudo_until timestamp with time zone,
    last_ip inet,
    token_issued_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON COLUMN public.sessions.mfa_verified IS 'unused: no session of an account with a second factor begins without it';

CREATE VIEW public.settled_events AS
 SELECT xid,
    id,
    type,
    repo_id,
    org_id,
    actor_id,
    payload,
    created_at
   FROM public.events
  WHERE (xid < pg_snapshot_xmin(pg_current_snapshot()));

CREATE TABLE public.ssh_keys (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    public_key text NOT NULL,
    fingerprint text NOT NULL,
    key_type text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone
);

CREATE TABLE public.storage_reservations (
    id uuid NOT NULL,
    repo_id uuid NOT NULL,
    byte_count bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT storage_reservations_byte_count_check CHECK ((byte_count >= 0))
);

CREATE TABLE public.stores (
    bucket text NOT NULL,
    id uuid NOT NULL,
    location text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON COLUMN public.stores.location IS 'where it was when it was first used, for people';

CREATE VIEW public.store_regions AS
 SELECT DISTINCT split_part(bucket, '.'::text, 1) AS region
   FROM public.stores;

CREATE TABLE public.store_stamps (
    store_id uuid NOT NULL,
    stamps uuid[] NOT NULL,
    stamped_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT store_stamps_stamps_check CHECK (((cardinality(stamps) >= 1) AND (cardinality(stamps) <= 16)))
);

COMMENT ON COLUMN public.store_stamps.stamps IS 'the newest last: the store holds it, or is about to';

CREATE TABLE public.tags (
    repo_id uuid NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    commit_hash text NOT NULL COLLATE pg_catalog."C",
    tag_type text DEFAULT 'lightweight'::text NOT NULL,
    message text,
    tagger_name text,
    tagger_email text,
    tagger_timestamp timestamp with time zone,
    signature bytea,
    signature_verified boolean,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    tag_hash text COLLATE pg_catalog."C",
    tagger_offset_minutes smallint,
    signature_key text COLLATE pg_catalog."C",
    signature_email text COLLATE pg_catalog."C",
    signature_verdict text,
    CONSTRAINT tags_tag_type_check CHECK ((tag_type = ANY (ARRAY['lightweight'::text, 'annotated'::text]))),
    CONSTRAINT tags_tagger_offset_minutes_check CHECK (((tagger_offset_minutes >= '-1439'::integer) AND (tagger_offset_minutes <= 1439)))
);

CREATE TABLE public.teams (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    description text,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE VIEW public.team_identities AS
 SELECT id,
    org_id,
    name
   FROM public.teams;

CREATE TABLE public.team_members (
    team_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text DEFAULT 'member'::text NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT team_members_role_check CHECK ((role = ANY (ARRAY['maintainer'::text, 'member'::text])))
);

CREATE TABLE public.token_decisions (
    token_id uuid NOT NULL,
    org_id uuid NOT NULL,
    approved boolean NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.usage_metrics (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    entity_type text NOT NULL,
    entity_id uuid NOT NULL,
    metric_date date NOT NULL,
    storage_bytes bigint DEFAULT 0 NOT NULL,
    bandwidth_bytes bigint DEFAULT 0 NOT NULL,
    api_requests integer DEFAULT 0 NOT NULL,
    push_count integer DEFAULT 0 NOT NULL,
    pull_count integer DEFAULT 0 NOT NULL,
    unique_contributors integer DEFAULT 0 NOT NULL,
    received_bytes bigint DEFAULT 0 NOT NULL,
    sent_bytes bigint DEFAULT 0 NOT NULL,
    logical_bytes bigint DEFAULT 0 NOT NULL,
    apportioned_bytes bigint DEFAULT 0 NOT NULL,
    measured_at timestamp with time zone
)
PARTITION BY RANGE (metric_date);

COMMENT ON COLUMN public.usage_metrics.metric_date IS 'day in UTC, by the clock of the database';

COMMENT ON COLUMN public.usage_metrics.storage_bytes IS 'as in repository_stats; of an owner, the sum over the repositories';

COMMENT ON COLUMN public.usage_metrics.bandwidth_bytes IS 'received_bytes + sent_bytes';

COMMENT ON COLUMN public.usage_metrics.api_requests IS 'calls that were let in; 2^31 - 1 is as far as it counts';

COMMENT ON COLUMN public.usage_metrics.push_count IS 'calls of Push that succeeded';

COMMENT ON COLUMN public.usage_metrics.pull_count IS 'calls of StreamTree that succeeded';

COMMENT ON COLUMN public.usage_metrics.unique_contributors IS 'users who pushed; set with the storage';

COMMENT ON COLUMN public.usage_metrics.received_bytes IS 'bytes of request messages';

COMMENT ON COLUMN public.usage_metrics.sent_bytes IS 'bytes of response messages';

COMMENT ON COLUMN public.usage_metrics.logical_bytes IS 'as in repository_stats; of an owner, the sum over the repositories';

COMMENT ON COLUMN public.usage_metrics.apportioned_bytes IS 'stored bytes of the chunks, each divided by the number of repositories of the same owner that use it';

COMMENT ON COLUMN public.usage_metrics.measured_at IS 'when the storage was measured; NULL = not yet';

CREATE TABLE public.usage_metrics_default (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    entity_type text NOT NULL,
    entity_id uuid NOT NULL,
    metric_date date NOT NULL,
    storage_bytes bigint DEFAULT 0 NOT NULL,
    bandwidth_bytes bigint DEFAULT 0 NOT NULL,
    api_requests integer DEFAULT 0 NOT NULL,
    push_count integer DEFAULT 0 NOT NULL,
    pull_count integer DEFAULT 0 NOT NULL,
    unique_contributors integer DEFAULT 0 NOT NULL,
    received_bytes bigint DEFAULT 0 NOT NULL,
    sent_bytes bigint DEFAULT 0 NOT NULL,
    logical_bytes bigint DEFAULT 0 NOT NULL,
    apportioned_bytes bigint DEFAULT 0 NOT NULL,
    measured_at timestamp with time zone
);

CREATE TABLE public.usage_writers (
    writer_id uuid NOT NULL,
    batch bigint NOT NULL,
    written_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.user_credentials (
    user_id uuid NOT NULL,
    password_hash text,
    password_salt text,
    password_algorithm text DEFAULT 'argon2id'::text NOT NULL,
    mfa_enabled boolean DEFAULT false NOT NULL,
    mfa_secret_encrypted bytea,
    mfa_recovery_codes_hash text[],
    password_changed_at timestamp with time zone DEFAULT now() NOT NULL,
    force_password_change boolean DEFAULT false NOT NULL,
    failed_login_attempts integer DEFAULT 0 NOT NULL,
    locked_until timestamp with time zone,
    last_failed_login_at timestamp with time zone,
    mfa_pending_encrypted bytea,
    mfa_last_step bigint,
    CONSTRAINT user_credentials_mfa_check CHECK (((NOT mfa_enabled) OR (mfa_secret_encrypted IS NOT NULL))),
    CONSTRAINT user_credentials_password_check CHECK (((password_hash IS NULL) = (password_salt IS NULL)))
);

CREATE VIEW public.user_identities AS
 SELECT id,
    username,
    name,
    email,
    email_verified,
    status
   FROM public.users;

CREATE TABLE public.user_keys (
    user_id uuid NOT NULL,
    public_key bytea NOT NULL,
    encrypted_private_key bytea NOT NULL,
    key_derivation_salt bytea NOT NULL,
    key_derivation_params jsonb NOT NULL,
    key_version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    rotated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.webhook_deliveries (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    webhook_id uuid NOT NULL,
    event text NOT NULL,
    payload jsonb,
    request_headers jsonb,
    response_status integer,
    response_body text,
    response_headers jsonb,
    delivered_at timestamp with time zone,
    duration_ms integer,
    success boolean,
    delivery_id uuid NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    job_id uuid,
    event_id uuid NOT NULL,
    requested_by uuid,
    error text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    scheduled_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    CONSTRAINT webhook_deliveries_attempt_check CHECK ((attempt >= 1)),
    CONSTRAINT webhook_deliveries_payload_check CHECK (((attempt = 1) = (payload IS NOT NULL))),
    CONSTRAINT webhook_deliveries_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'succeeded'::text, 'failed'::text]))),
    CONSTRAINT webhook_deliveries_success_check CHECK ((NOT (success IS DISTINCT FROM
CASE state
    WHEN 'succeeded'::text THEN true
    WHEN 'failed'::text THEN false
    ELSE NULL::boolean
END)))
);

CREATE TABLE public.webhooks (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    repo_id uuid,
    url text NOT NULL,
    secret_encrypted bytea NOT NULL,
    events text[] DEFAULT '{}'::text[] NOT NULL,
    active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    org_id uuid,
    created_by uuid,
    previous_secret_encrypted bytea,
    previous_secret_until timestamp with time zone,
    failing_since timestamp with time zone,
    failure_count integer DEFAULT 0 NOT NULL,
    paused_until timestamp with time zone,
    disabled_at timestamp with time zone,
    deleted_at timestamp with time zone,
    CONSTRAINT webhooks_deleted_check CHECK (((NOT active) OR (deleted_at IS NULL))),
    CONSTRAINT webhooks_disabled_check CHECK (((NOT active) OR (disabled_at IS NULL))),
    CONSTRAINT webhooks_failure_count_check CHECK ((failure_count >= 0)),
    CONSTRAINT webhooks_owner_check CHECK ((num_nonnulls(repo_id, org_id) = 1)),
    CONSTRAINT webhooks_previous_secret_check CHECK ((num_nonnulls(previous_secret_encrypted, previous_secret_until) = ANY (ARRAY[0, 2])))
);

ALTER TABLE ONLY public.audit_log ATTACH PARTITION public.audit_log_default DEFAULT;

ALTER TABLE ONLY public.usage_metrics ATTACH PARTITION public.usage_metrics_default DEFAULT;

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.assets
    ADD CONSTRAINT assets_pkey PRIMARY KEY (repo_id, hash);

ALTER TABLE ONLY public.audit_chains
    ADD CONSTRAINT audit_chains_pkey PRIMARY KEY (month);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id, "timestamp");

ALTER TABLE ONLY public.audit_log_default
    ADD CONSTRAINT audit_log_default_pkey PRIMARY KEY (id, "timestamp");

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT audit_seals_pkey PRIMARY KEY (month, "position");

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT audit_seals_row_id_key UNIQUE (row_id);

ALTER TABLE ONLY public.billing_snapshots
    ADD CONSTRAINT billing_snapshots_org_id_snapshot_date_key UNIQUE (org_id, snapshot_date);

ALTER TABLE ONLY public.billing_snapshots
    ADD CONSTRAINT billing_snapshots_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.branch_follows
    ADD CONSTRAINT branch_follows_pkey PRIMARY KEY (user_id, repo_id, branch);

ALTER TABLE ONLY public.branches
    ADD CONSTRAINT branches_pkey PRIMARY KEY (repo_id, name);

ALTER TABLE ONLY public.chunk_erasures
    ADD CONSTRAINT chunk_erasures_pkey PRIMARY KEY (chunk_hash);

ALTER TABLE ONLY public.chunk_locations
    ADD CONSTRAINT chunk_locations_pkey PRIMARY KEY (chunk_hash, region);

ALTER TABLE ONLY public.chunk_refs
    ADD CONSTRAINT chunk_refs_pkey PRIMARY KEY (repo_id, chunk_hash);

ALTER TABLE ONLY public.chunk_restores
    ADD CONSTRAINT chunk_restores_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.chunks
    ADD CONSTRAINT chunks_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY public.commits
    ADD CONSTRAINT commits_pkey PRIMARY KEY (repo_id, hash);

ALTER TABLE public.commits
    ADD CONSTRAINT commits_signature_check CHECK (((num_nulls(signature, signature_key, signature_email, signature_verdict) = ANY (ARRAY[0, 4])) AND (NOT (signature_verified IS DISTINCT FROM (signature_verdict = 'good'::text))))) NOT VALID;

ALTER TABLE ONLY public.dead_events
    ADD CONSTRAINT dead_events_pkey PRIMARY KEY (consumer, id);

ALTER TABLE ONLY public.dead_letter_jobs
    ADD CONSTRAINT dead_letter_jobs_original_job_id_key UNIQUE (original_job_id);

ALTER TABLE ONLY public.dead_letter_jobs
    ADD CONSTRAINT dead_letter_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.deployment
    ADD CONSTRAINT deployment_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.due_copies
    ADD CONSTRAINT due_copies_pkey PRIMARY KEY (region, chunk_hash, repo_id);

ALTER TABLE ONLY public.event_cursors
    ADD CONSTRAINT event_cursors_pkey PRIMARY KEY (consumer);

ALTER TABLE ONLY public.event_horizon
    ADD CONSTRAINT event_horizon_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.former_heads
    ADD CONSTRAINT former_heads_pkey PRIMARY KEY (repo_id, commit_hash);

ALTER TABLE ONLY public.former_names
    ADD CONSTRAINT former_names_pkey PRIMARY KEY (name_key);

ALTER TABLE ONLY public.former_repository_names
    ADD CONSTRAINT former_repository_names_pkey PRIMARY KEY (owner_type, owner_id, name_key);

ALTER TABLE ONLY public.former_session_tokens
    ADD CONSTRAINT former_session_tokens_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (method, subject, request_id);

ALTER TABLE ONLY public.inboxes
    ADD CONSTRAINT inboxes_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.job_schedules
    ADD CONSTRAINT job_schedules_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.lock_clocks
    ADD CONSTRAINT lock_clocks_pkey PRIMARY KEY (repo_id);

ALTER TABLE ONLY public.lock_history
    ADD CONSTRAINT lock_history_pkey PRIMARY KEY (id, repo_id);

ALTER TABLE ONLY public.locks
    ADD CONSTRAINT locks_no_overlap EXCLUDE USING gist (path_key WITH =, excl_key WITH <>, tstzrange(locked_at, expires_at) WITH &&, repo_id WITH =, path WITH =) WHERE ((lock_type <> 'advisory'::text));

ALTER TABLE ONLY public.locks
    ADD CONSTRAINT locks_pkey PRIMARY KEY (id, repo_id);

ALTER TABLE ONLY public.login_throttles
    ADD CONSTRAINT login_throttles_pkey PRIMARY KEY (bucket);

ALTER TABLE ONLY public.maintenance_runs
    ADD CONSTRAINT maintenance_runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.manifests
    ADD CONSTRAINT manifests_pkey PRIMARY KEY (repo_id, hash);

ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_owner_key UNIQUE (owner_type, owner_id);

ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_pkey PRIMARY KEY (name_key);

ALTER TABLE ONLY public.notification_preferences
    ADD CONSTRAINT notification_preferences_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_number_key UNIQUE (user_id, number);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_source_key UNIQUE (user_id, type, source_id);

ALTER TABLE ONLY public.object_deletions
    ADD CONSTRAINT object_deletions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.obliterations
    ADD CONSTRAINT obliterations_pkey PRIMARY KEY (repo_id, hash);

ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT one_time_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT one_time_tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.organization_invitations
    ADD CONSTRAINT organization_invitations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.organization_invitations
    ADD CONSTRAINT organization_invitations_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.organization_members
    ADD CONSTRAINT organization_members_pkey PRIMARY KEY (org_id, user_id);

ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.pack_uploads
    ADD CONSTRAINT pack_uploads_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.packs
    ADD CONSTRAINT packs_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.released_histories
    ADD CONSTRAINT released_histories_pkey PRIMARY KEY (repo_id);

ALTER TABLE ONLY public.released_lists
    ADD CONSTRAINT released_lists_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.repositories
    ADD CONSTRAINT repositories_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.repository_collaborators
    ADD CONSTRAINT repository_collaborators_pkey PRIMARY KEY (repo_id, user_id);

ALTER TABLE ONLY public.repository_settings
    ADD CONSTRAINT repository_settings_pkey PRIMARY KEY (repo_id);

ALTER TABLE ONLY public.repository_stats
    ADD CONSTRAINT repository_stats_pkey PRIMARY KEY (repo_id);

ALTER TABLE ONLY public.repository_storage
    ADD CONSTRAINT repository_storage_pkey PRIMARY KEY (repo_id);

ALTER TABLE ONLY public.repository_transfers
    ADD CONSTRAINT repository_transfers_pkey PRIMARY KEY (repo_id);

ALTER TABLE ONLY public.schema_functions
    ADD CONSTRAINT schema_functions_pkey PRIMARY KEY (path);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.ssh_keys
    ADD CONSTRAINT ssh_keys_fingerprint_key UNIQUE (fingerprint);

ALTER TABLE ONLY public.ssh_keys
    ADD CONSTRAINT ssh_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.storage_reservations
    ADD CONSTRAINT storage_reservations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.store_stamps
    ADD CONSTRAINT store_stamps_pkey PRIMARY KEY (store_id);

ALTER TABLE ONLY public.stores
    ADD CONSTRAINT stores_id_key UNIQUE (id);

ALTER TABLE ONLY public.stores
    ADD CONSTRAINT stores_pkey PRIMARY KEY (bucket, id);

ALTER TABLE public.tags
    ADD CONSTRAINT tags_annotated_check CHECK (
CASE tag_type
    WHEN 'annotated'::text THEN (num_nulls(tag_hash, message, tagger_name, tagger_email, tagger_timestamp, tagger_offset_minutes) = 0)
    ELSE (num_nonnulls(tag_hash, message, tagger_name, tagger_email, tagger_timestamp, signature) = 0)
END) NOT VALID;

ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (repo_id, name);

ALTER TABLE public.tags
    ADD CONSTRAINT tags_signature_check CHECK (((num_nulls(signature, signature_key, signature_email, signature_verdict) = ANY (ARRAY[0, 4])) AND (NOT (signature_verified IS DISTINCT FROM (signature_verdict = 'good'::text))))) NOT VALID;

ALTER TABLE ONLY public.team_members
    ADD CONSTRAINT team_members_pkey PRIMARY KEY (team_id, user_id);

ALTER TABLE ONLY public.team_repositories
    ADD CONSTRAINT team_repositories_pkey PRIMARY KEY (team_id, repo_id);

ALTER TABLE ONLY public.teams
    ADD CONSTRAINT teams_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.token_decisions
    ADD CONSTRAINT token_decisions_pkey PRIMARY KEY (token_id, org_id);

ALTER TABLE ONLY public.usage_metrics
    ADD CONSTRAINT usage_metrics_entity_key UNIQUE (entity_type, entity_id, metric_date);

ALTER TABLE ONLY public.usage_metrics_default
    ADD CONSTRAINT usage_metrics_default_entity_type_entity_id_metric_date_key UNIQUE (entity_type, entity_id, metric_date);

ALTER TABLE ONLY public.usage_metrics
    ADD CONSTRAINT usage_metrics_pkey PRIMARY KEY (id, metric_date);

ALTER TABLE ONLY public.usage_metrics_default
    ADD CONSTRAINT usage_metrics_default_pkey PRIMARY KEY (id, metric_date);

ALTER TABLE ONLY public.usage_writers
    ADD CONSTRAINT usage_writers_pkey PRIMARY KEY (writer_id);

ALTER TABLE ONLY public.user_credentials
    ADD CONSTRAINT user_credentials_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.user_keys
    ADD CONSTRAINT user_keys_pkey PRIMARY KEY (user_id, key_version);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_attempt_key UNIQUE (delivery_id, attempt);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (id);

CREATE INDEX idx_audit_action ON ONLY public.audit_log USING btree (action, "timestamp" DESC, id DESC);

CREATE INDEX audit_log_default_action_timestamp_id_idx ON public.audit_log_default USING btree (action, "timestamp" DESC, id DESC);

CREATE INDEX idx_audit_actor ON ONLY public.audit_log USING btree (actor_id, "timestamp" DESC, id DESC);

CREATE INDEX audit_log_default_actor_id_timestamp_id_idx ON public.audit_log_default USING btree (actor_id, "timestamp" DESC, id DESC);

CREATE INDEX idx_audit_org ON ONLY public.audit_log USING btree (org_id, "timestamp" DESC, id DESC) WHERE (org_id IS NOT NULL);

CREATE INDEX audit_log_default_org_id_timestamp_id_idx ON public.audit_log_default USING btree (org_id, "timestamp" DESC, id DESC) WHERE (org_id IS NOT NULL);

CREATE INDEX idx_audit_repo ON ONLY public.audit_log USING btree (repo_id, "timestamp" DESC, id DESC) WHERE (repo_id IS NOT NULL);

CREATE INDEX audit_log_default_repo_id_timestamp_id_idx ON public.audit_log_default USING btree (repo_id, "timestamp" DESC, id DESC) WHERE (repo_id IS NOT NULL);

CREATE INDEX idx_audit_resource ON ONLY public.audit_log USING btree (resource_type, resource_id, "timestamp" DESC, id DESC);

CREATE INDEX audit_log_default_resource_type_resource_id_timestamp_id_idx ON public.audit_log_default USING btree (resource_type, resource_id, "timestamp" DESC, id DESC);

CREATE INDEX idx_audit_timestamp ON ONLY public.audit_log USING btree ("timestamp" DESC, id DESC);

CREATE INDEX audit_log_default_timestamp_id_idx ON public.audit_log_default USING btree ("timestamp" DESC, id DESC);

CREATE INDEX idx_audit_order ON ONLY public.audit_log USING btree (xid, id);

CREATE INDEX audit_log_default_xid_id_idx ON public.audit_log_default USING btree (xid, id);

CREATE UNIQUE INDEX events_order_key ON public.events USING btree (xid, id);

CREATE INDEX idx_api_tokens_expires ON public.api_tokens USING btree (expires_at) WHERE ((end_noticed_at IS NULL) AND (revoked_at IS NULL));

CREATE INDEX idx_api_tokens_parent ON public.api_tokens USING btree (parent_id) WHERE (parent_id IS NOT NULL);

CREATE INDEX idx_api_tokens_user ON public.api_tokens USING btree (user_id);

CREATE INDEX idx_assets_size ON public.assets USING btree (repo_id, size DESC);

CREATE INDEX idx_branch_follows_branch ON public.branch_follows USING btree (repo_id, branch, user_id);

CREATE UNIQUE INDEX idx_branches_default ON public.branches USING btree (repo_id) WHERE (is_default = true);

CREATE INDEX idx_branches_head ON public.branches USING btree (head_commit, repo_id);

CREATE INDEX idx_chunk_erasures_due ON public.chunk_erasures USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX idx_chunk_locations_pack ON public.chunk_locations USING btree (pack_key);

CREATE INDEX idx_chunk_refs_claimed ON public.chunk_refs USING btree (repo_id, claimed_at) WHERE (claimed_at IS NOT NULL);

CREATE INDEX idx_chunk_refs_hash ON public.chunk_refs USING hash (chunk_hash);

CREATE INDEX idx_chunk_refs_tiered ON public.chunk_refs USING btree (repo_id, chunk_hash) WHERE (storage_class = ANY (ARRAY['infrequent'::text, 'glacier'::text, 'deep_archive'::text]));

CREATE INDEX idx_chunk_restores_expected ON public.chunk_restores USING btree (expected_at);

CREATE INDEX idx_chunk_restores_repo ON public.chunk_restores USING btree (repo_id, expected_at) WHERE (restored_at IS NULL);

CREATE INDEX idx_chunks_delete ON public.chunks USING btree (delete_after) WHERE (delete_after IS NOT NULL);

CREATE INDEX idx_chunks_lost ON public.chunks USING btree (lost_at) WHERE (lost_at IS NOT NULL);

CREATE INDEX idx_chunks_lost_hash ON public.chunks USING btree (hash) WHERE (lost_at IS NOT NULL);

CREATE INDEX idx_chunks_pack ON public.chunks USING btree (pack_key);

CREATE INDEX idx_commits_parent ON public.commits USING gin (parent_hashes) WITH (gin_pending_list_limit='256');

CREATE INDEX idx_commits_signature ON public.commits USING btree (signature_key, repo_id, hash) WHERE (signature_key IS NOT NULL);

CREATE INDEX idx_commits_tree ON public.commits USING btree (tree_hash, repo_id);

CREATE INDEX idx_commits_unfiltered ON public.commits USING btree (repo_id, hash) WHERE (changed_paths IS NULL);

CREATE INDEX idx_due_copies_due ON public.due_copies USING btree (region, due_at, chunk_hash);

CREATE INDEX idx_due_copies_repo ON public.due_copies USING btree (repo_id, region);

CREATE INDEX idx_events_created ON public.events USING btree (created_at);

CREATE INDEX idx_events_repo ON public.events USING btree (repo_id, xid, id) WHERE (repo_id IS NOT NULL);

CREATE INDEX idx_former_heads_due ON public.former_heads USING btree (left_at, repo_id);

CREATE INDEX idx_former_heads_left ON public.former_heads USING btree (repo_id, left_at);

CREATE INDEX idx_former_names_kept_until ON public.former_names USING btree (kept_until);

CREATE INDEX idx_former_names_owner ON public.former_names USING btree (owner_type, owner_id);

CREATE INDEX idx_former_repository_names_kept_until ON public.former_repository_names USING btree (kept_until);

CREATE INDEX idx_former_repository_names_repo ON public.former_repository_names USING btree (repo_id);

CREATE INDEX idx_former_session_tokens_session ON public.former_session_tokens USING btree (session_id);

CREATE INDEX idx_idempotency_keys_created ON public.idempotency_keys USING btree (created_at);

CREATE INDEX idx_jobs_claim ON public.jobs USING btree (queue, priority DESC, scheduled_at) WHERE (status = 'pending'::text);

CREATE INDEX idx_jobs_finished ON public.jobs USING btree (completed_at) WHERE (status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text]));

CREATE INDEX idx_jobs_locked ON public.jobs USING btree (locked_until) WHERE ((status = 'running'::text) AND (locked_until IS NOT NULL));

CREATE INDEX idx_jobs_repo ON public.jobs USING btree (repo_id, id) WHERE (repo_id IS NOT NULL);

CREATE INDEX idx_jobs_requester ON public.jobs USING btree (requested_by, id) WHERE (requested_by IS NOT NULL);

CREATE INDEX idx_lock_history_owner ON public.lock_history USING btree (repo_id, owner_id, action_at, fence, action);

CREATE INDEX idx_lock_history_path ON public.lock_history USING btree (repo_id, path, action_at, fence, action);

CREATE INDEX idx_lock_history_repo ON public.lock_history USING btree (repo_id, action_at, fence, action);

CREATE INDEX idx_locks_expires ON public.locks USING btree (expires_at);

CREATE INDEX idx_locks_owner ON public.locks USING btree (owner_id, repo_id, path);

CREATE INDEX idx_locks_path ON public.locks USING btree (repo_id, path);

CREATE INDEX idx_login_throttles_window ON public.login_throttles USING btree (window_started_at);

CREATE INDEX idx_maintenance_runs_started ON public.maintenance_runs USING btree (started_at, id);

CREATE INDEX idx_manifests_condemned ON public.manifests USING btree (repo_id, hash) WHERE (condemned IS NOT NULL);

CREATE INDEX idx_manifests_delta_base ON public.manifests USING btree (delta_base, repo_id) WHERE (delta_base IS NOT NULL);

CREATE INDEX idx_notifications_mailed ON public.notifications USING btree (user_id, mailed_at) WHERE (mailed_at IS NOT NULL);

CREATE INDEX idx_notifications_read_at ON public.notifications USING btree (read_at) WHERE read;

CREATE INDEX idx_notifications_unread ON public.notifications USING btree (user_id, number) WHERE (NOT read);

CREATE INDEX idx_notifications_unread_created ON public.notifications USING btree (created_at) WHERE (NOT read);

CREATE INDEX idx_object_deletions_due ON public.object_deletions USING btree (not_before);

CREATE INDEX idx_object_deletions_key ON public.object_deletions USING btree (key);

CREATE INDEX idx_one_time_tokens_expires ON public.one_time_tokens USING btree (expires_at);

CREATE INDEX idx_one_time_tokens_user ON public.one_time_tokens USING btree (user_id, purpose);

CREATE INDEX idx_org_members_user ON public.organization_members USING btree (user_id);

CREATE INDEX idx_organization_invitations_email ON public.organization_invitations USING btree (email_key) WHERE ((accepted_at IS NULL) AND (revoked_at IS NULL) AND (declined_at IS NULL));

CREATE INDEX idx_organization_invitations_expires ON public.organization_invitations USING btree (expires_at);

CREATE INDEX idx_organization_invitations_sent ON public.organization_invitations USING btree (invited_by, created_at);

CREATE INDEX idx_pack_uploads_expires ON public.pack_uploads USING btree (expires_at);

CREATE INDEX idx_pack_uploads_user ON public.pack_uploads USING btree (user_id, expires_at);

CREATE INDEX idx_packs_open ON public.packs USING btree (created_at) WHERE (state = 'open'::text);

CREATE INDEX idx_packs_verified ON public.packs USING btree (verified_at, key) WHERE (state = 'sealed'::text);

CREATE INDEX idx_released_lists_repo ON public.released_lists USING btree (repo_id, erased_content);

CREATE INDEX idx_repo_collabs_user ON public.repository_collaborators USING btree (user_id);

CREATE INDEX idx_repos_deleted ON public.repositories USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX idx_repos_deleted_owner ON public.repositories USING btree (owner_type, owner_id, deleted_at, id) WHERE (deleted_at IS NOT NULL);

CREATE INDEX idx_repos_name ON public.repositories USING btree (name);

CREATE INDEX idx_repository_transfers_owner ON public.repository_transfers USING btree (owner_type, owner_id, repo_id);

CREATE INDEX idx_sessions_expires ON public.sessions USING btree (expires_at);

CREATE INDEX idx_sessions_user ON public.sessions USING btree (user_id);

CREATE INDEX idx_ssh_keys_user ON public.ssh_keys USING btree (user_id);

CREATE INDEX idx_storage_reservations_repo ON public.storage_reservations USING btree (repo_id);

CREATE INDEX idx_tags_commit ON public.tags USING btree (repo_id, commit_hash);

CREATE INDEX idx_tags_signature ON public.tags USING btree (signature_key, repo_id, name) WHERE (signature_key IS NOT NULL);

CREATE INDEX idx_team_members_user ON public.team_members USING btree (user_id);

CREATE INDEX idx_team_repositories_repo ON public.team_repositories USING btree (repo_id);

CREATE INDEX idx_users_status ON public.users USING btree (status) WHERE (status <> 'deleted'::text);

CREATE INDEX idx_webhook_deliveries_created ON public.webhook_deliveries USING btree (created_at);

CREATE INDEX idx_webhook_deliveries_requested ON public.webhook_deliveries USING btree (webhook_id) WHERE ((state = 'pending'::text) AND (requested_by IS NOT NULL));

CREATE INDEX idx_webhook_deliveries_started ON public.webhook_deliveries USING btree (webhook_id, started_at) WHERE ((state = 'pending'::text) AND (started_at IS NOT NULL));

CREATE INDEX idx_webhook_deliveries_waiting ON public.webhook_deliveries USING btree (webhook_id, scheduled_at) WHERE ((state = 'pending'::text) AND (started_at IS NULL));

CREATE INDEX idx_webhook_deliveries_webhook ON public.webhook_deliveries USING btree (webhook_id, created_at DESC, delivery_id DESC);

CREATE INDEX idx_webhooks_deleted ON public.webhooks USING btree (id) WHERE (deleted_at IS NOT NULL);

CREATE INDEX idx_webhooks_org ON public.webhooks USING btree (org_id) WHERE (deleted_at IS NULL);

CREATE INDEX idx_webhooks_repo ON public.webhooks USING btree (repo_id) WHERE (deleted_at IS NULL);

CREATE UNIQUE INDEX jobs_dedup_key ON public.jobs USING btree (job_type, dedup_key) WHERE ((status = 'pending'::text) AND (dedup_key IS NOT NULL));

CREATE UNIQUE INDEX lock_history_one_end ON public.lock_history USING btree (lock_id, repo_id) WHERE (action <> 'acquired'::text);

CREATE UNIQUE INDEX lock_history_one_start ON public.lock_history USING btree (lock_id, repo_id) WHERE (action = 'acquired'::text);

CREATE UNIQUE INDEX maintenance_runs_running_key ON public.maintenance_runs USING btree (kind) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX organization_invitations_open_key ON public.organization_invitations USING btree (org_id, email_key) WHERE ((accepted_at IS NULL) AND (revoked_at IS NULL) AND (declined_at IS NULL));

CREATE UNIQUE INDEX organizations_name_key ON public.organizations USING btree (lower(name));

CREATE UNIQUE INDEX repositories_owner_name_key ON public.repositories USING btree (owner_type, owner_id, lower(name)) WHERE (deleted_at IS NULL);

CREATE UNIQUE INDEX teams_org_id_name_key ON public.teams USING btree (org_id, lower(name));

CREATE UNIQUE INDEX users_email_key ON public.users USING btree (email_key);

CREATE UNIQUE INDEX users_username_key ON public.users USING btree (lower(username));

ALTER INDEX public.idx_audit_action ATTACH PARTITION public.audit_log_default_action_timestamp_id_idx;

ALTER INDEX public.idx_audit_actor ATTACH PARTITION public.audit_log_default_actor_id_timestamp_id_idx;

ALTER INDEX public.idx_audit_org ATTACH PARTITION public.audit_log_default_org_id_timestamp_id_idx;

ALTER INDEX public.audit_log_pkey ATTACH PARTITION public.audit_log_default_pkey;

ALTER INDEX public.idx_audit_repo ATTACH PARTITION public.audit_log_default_repo_id_timestamp_id_idx;

ALTER INDEX public.idx_audit_resource ATTACH PARTITION public.audit_log_default_resource_type_resource_id_timestamp_id_idx;

ALTER INDEX public.idx_audit_timestamp ATTACH PARTITION public.audit_log_default_timestamp_id_idx;

ALTER INDEX public.idx_audit_order ATTACH PARTITION public.audit_log_default_xid_id_idx;

ALTER INDEX public.usage_metrics_entity_key ATTACH PARTITION public.usage_metrics_default_entity_type_entity_id_metric_date_key;

ALTER INDEX public.usage_metrics_pkey ATTACH PARTITION public.usage_metrics_default_pkey;

CREATE TRIGGER api_tokens_announce AFTER DELETE OR UPDATE OF revoked_at, scopes, repository_ids ON public.api_tokens FOR EACH ROW EXECUTE FUNCTION public.announce_access_change('user_id');

ALTER TABLE public.api_tokens ENABLE ALWAYS TRIGGER api_tokens_announce;

CREATE TRIGGER assets_keep_keys BEFORE UPDATE OF repo_id ON public.assets FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_new_keys();

CREATE TRIGGER assets_require_repositories AFTER INSERT ON public.assets REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.require_repositories_of_assets();

CREATE TRIGGER audit_log_append_only BEFORE DELETE OR UPDATE ON public.audit_log FOR EACH ROW EXECUTE FUNCTION public.refuse_audit_change();

ALTER TABLE public.audit_log ENABLE ALWAYS TRIGGER audit_log_append_only;

CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON public.audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();

ALTER TABLE public.audit_log ENABLE ALWAYS TRIGGER audit_log_no_truncate;

CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON public.audit_log_default FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();

ALTER TABLE public.audit_log_default ENABLE ALWAYS TRIGGER audit_log_no_truncate;

CREATE TRIGGER chunk_locations_keep_keys BEFORE UPDATE OF chunk_hash ON public.chunk_locations FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_new_keys();

CREATE TRIGGER chunk_locations_require_chunks AFTER INSERT ON public.chunk_locations REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.require_chunks_of_copies();

CREATE TRIGGER chunk_refs_add_held_bytes AFTER INSERT ON public.chunk_refs REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.add_held_bytes();

CREATE TRIGGER chunk_refs_keep_keys BEFORE UPDATE OF repo_id, chunk_hash ON public.chunk_refs FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_new_keys();

CREATE TRIGGER chunk_refs_subtract_held_bytes AFTER DELETE ON public.chunk_refs REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.subtract_held_bytes();

CREATE TRIGGER chunks_keep_keys BEFORE UPDATE OF hash ON public.chunks FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_new_keys();

CREATE TRIGGER chunks_keep_named AFTER DELETE ON public.chunks REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.keep_named_chunks();

CREATE TRIGGER chunks_require_pack AFTER UPDATE OF storage_key ON public.chunks FOR EACH ROW WHEN ((old.pack_key IS DISTINCT FROM new.pack_key)) EXECUTE FUNCTION public.require_pack_of_chunk();

CREATE TRIGGER chunks_require_packs AFTER INSERT ON public.chunks REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.require_packs_of_chunks();

CREATE TRIGGER namespaces_stay BEFORE DELETE OR TRUNCATE ON public.namespaces FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_deletion();

CREATE TRIGGER obliterations_note AFTER INSERT ON public.obliterations REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_obliterations();

CREATE TRIGGER organization_members_announce AFTER INSERT OR DELETE OR UPDATE ON public.organization_members FOR EACH ROW EXECUTE FUNCTION public.announce_access_change('user_id');

ALTER TABLE public.organization_members ENABLE ALWAYS TRIGGER organization_members_announce;

CREATE TRIGGER organizations_announce AFTER UPDATE OF settings ON public.organizations FOR EACH ROW WHEN ((old.settings IS DISTINCT FROM new.settings)) EXECUTE FUNCTION public.announce_access_change('id', 'organization ');

ALTER TABLE public.organizations ENABLE ALWAYS TRIGGER organizations_announce;

CREATE TRIGGER organizations_claim_namespace BEFORE INSERT OR UPDATE OF name ON public.organizations FOR EACH ROW EXECUTE FUNCTION public.keep_namespace('organization', 'name');

CREATE TRIGGER organizations_stay BEFORE DELETE OR TRUNCATE ON public.organizations FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_deletion();

CREATE TRIGGER packs_keep_keys BEFORE UPDATE OF key ON public.packs FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_new_keys();

CREATE TRIGGER packs_keep_named AFTER DELETE ON public.packs FOR EACH ROW EXECUTE FUNCTION public.keep_named_pack();

CREATE TRIGGER repositories_announce AFTER UPDATE OF name, visibility, archived, disabled, owner_type, owner_id, deleted_at ON public.repositories FOR EACH ROW EXECUTE FUNCTION public.announce_access_change('id');

ALTER TABLE public.repositories ENABLE ALWAYS TRIGGER repositories_announce;

CREATE TRIGGER repositories_delete_assets AFTER DELETE ON public.repositories FOR EACH ROW EXECUTE FUNCTION public.delete_assets_of_repository();

CREATE TRIGGER repositories_refuse_kept_name AFTER INSERT OR UPDATE OF name, owner_type, owner_id, deleted_at ON public.repositories FOR EACH ROW WHEN ((new.deleted_at IS NULL)) EXECUTE FUNCTION public.refuse_kept_name();

CREATE TRIGGER repository_collaborators_announce AFTER INSERT OR DELETE OR UPDATE ON public.repository_collaborators FOR EACH ROW EXECUTE FUNCTION public.announce_access_change('user_id');

ALTER TABLE public.repository_collaborators ENABLE ALWAYS TRIGGER repository_collaborators_announce;

CREATE TRIGGER repository_storage_keep_held AFTER DELETE ON public.repository_storage FOR EACH ROW EXECUTE FUNCTION public.keep_held_repository();

CREATE TRIGGER sessions_announce AFTER DELETE OR UPDATE OF revoked_at ON public.sessions FOR EACH ROW EXECUTE FUNCTION public.announce_access_change('user_id');

ALTER TABLE public.sessions ENABLE ALWAYS TRIGGER sessions_announce;

CREATE TRIGGER team_members_announce AFTER INSERT OR DELETE OR UPDATE ON public.team_members FOR EACH ROW EXECUTE FUNCTION public.announce_access_change('user_id');

ALTER TABLE public.team_members ENABLE ALWAYS TRIGGER team_members_announce;

CREATE TRIGGER team_repositories_announce AFTER INSERT OR DELETE OR UPDATE ON public.team_repositories FOR EACH ROW EXECUTE FUNCTION public.announce_access_change('repo_id');

ALTER TABLE public.team_repositories ENABLE ALWAYS TRIGGER team_repositories_announce;

CREATE TRIGGER token_decisions_announce AFTER INSERT OR DELETE OR UPDATE ON public.token_decisions FOR EACH ROW EXECUTE FUNCTION public.announce_access_change('org_id', 'organization ');

ALTER TABLE public.token_decisions ENABLE ALWAYS TRIGGER token_decisions_announce;

CREATE TRIGGER update_branches_updated_at BEFORE UPDATE ON public.branches FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();

CREATE TRIGGER update_organizations_updated_at BEFORE UPDATE ON public.organizations FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();

CREATE TRIGGER update_repositories_updated_at BEFORE UPDATE OF name, description, owner_type, owner_id, visibility, default_branch, archived, disabled, disabled_reason, settings, deleted_at ON public.repositories FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();

CREATE TRIGGER update_users_updated_at BEFORE UPDATE OF username, email, email_folded, email_verified, name, avatar_url, status, status_reason, status_until, status_before, preferences, deleted_at, mfa_enabled, plan_storage_bytes ON public.users FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();

CREATE TRIGGER update_webhooks_updated_at BEFORE UPDATE OF url, events, active, secret_encrypted, deleted_at ON public.webhooks FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();

CREATE TRIGGER user_credentials_keep_mfa_enabled AFTER INSERT OR UPDATE OF mfa_enabled ON public.user_credentials FOR EACH ROW EXECUTE FUNCTION public.keep_mfa_enabled();

CREATE TRIGGER users_announce AFTER UPDATE OF status, username, mfa_enabled ON public.users FOR EACH ROW EXECUTE FUNCTION public.announce_access_change('id');

ALTER TABLE public.users ENABLE ALWAYS TRIGGER users_announce;

CREATE TRIGGER users_claim_namespace BEFORE INSERT OR UPDATE OF username ON public.users FOR EACH ROW EXECUTE FUNCTION public.keep_namespace('user', 'username');

CREATE TRIGGER users_stay BEFORE DELETE OR TRUNCATE ON public.users FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_deletion();

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES public.api_tokens(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE public.audit_log
    ADD CONSTRAINT audit_log_actor_id_fkey FOREIGN KEY (actor_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.billing_snapshots
    ADD CONSTRAINT billing_snapshots_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id);

ALTER TABLE ONLY public.branch_follows
    ADD CONSTRAINT branch_follows_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.branch_follows
    ADD CONSTRAINT branch_follows_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.branches
    ADD CONSTRAINT branches_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.branches
    ADD CONSTRAINT branches_head_fkey FOREIGN KEY (repo_id, head_commit) REFERENCES public.commits(repo_id, hash);

ALTER TABLE ONLY public.branches
    ADD CONSTRAINT branches_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.chunk_locations
    ADD CONSTRAINT chunk_locations_pack_fkey FOREIGN KEY (pack_key) REFERENCES public.packs(key);

ALTER TABLE ONLY public.chunk_restores
    ADD CONSTRAINT chunk_restores_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.commits
    ADD CONSTRAINT commits_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.commits
    ADD CONSTRAINT commits_tree_fkey FOREIGN KEY (repo_id, tree_hash) REFERENCES public.manifests(repo_id, hash);

ALTER TABLE ONLY public.former_heads
    ADD CONSTRAINT former_heads_repo_id_commit_hash_fkey FOREIGN KEY (repo_id, commit_hash) REFERENCES public.commits(repo_id, hash);

ALTER TABLE ONLY public.former_heads
    ADD CONSTRAINT former_heads_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.former_repository_names
    ADD CONSTRAINT former_repository_names_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.former_session_tokens
    ADD CONSTRAINT former_session_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.inboxes
    ADD CONSTRAINT inboxes_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.lock_clocks
    ADD CONSTRAINT lock_clocks_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.lock_history
    ADD CONSTRAINT lock_history_action_by_fkey FOREIGN KEY (action_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.locks
    ADD CONSTRAINT locks_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.locks
    ADD CONSTRAINT locks_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.manifests
    ADD CONSTRAINT manifests_delta_base_fkey FOREIGN KEY (repo_id, delta_base) REFERENCES public.manifests(repo_id, hash) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.manifests
    ADD CONSTRAINT manifests_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notification_preferences
    ADD CONSTRAINT notification_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.obliterations
    ADD CONSTRAINT obliterations_obliterated_by_fkey FOREIGN KEY (obliterated_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.obliterations
    ADD CONSTRAINT obliterations_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT one_time_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.organization_invitations
    ADD CONSTRAINT organization_invitations_accepted_by_fkey FOREIGN KEY (accepted_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.organization_invitations
    ADD CONSTRAINT organization_invitations_invited_by_fkey FOREIGN KEY (invited_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.organization_invitations
    ADD CONSTRAINT organization_invitations_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.organization_members
    ADD CONSTRAINT organization_members_invited_by_fkey FOREIGN KEY (invited_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.organization_members
    ADD CONSTRAINT organization_members_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.organization_members
    ADD CONSTRAINT organization_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.pack_uploads
    ADD CONSTRAINT pack_uploads_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.released_histories
    ADD CONSTRAINT released_histories_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.released_lists
    ADD CONSTRAINT released_lists_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.repositories
    ADD CONSTRAINT repositories_owner_fkey FOREIGN KEY (owner_type, owner_id) REFERENCES public.namespaces(owner_type, owner_id);

ALTER TABLE ONLY public.repository_collaborators
    ADD CONSTRAINT repository_collaborators_added_by_fkey FOREIGN KEY (added_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.repository_collaborators
    ADD CONSTRAINT repository_collaborators_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.repository_collaborators
    ADD CONSTRAINT repository_collaborators_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.repository_settings
    ADD CONSTRAINT repository_settings_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.repository_stats
    ADD CONSTRAINT repository_stats_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.repository_storage
    ADD CONSTRAINT repository_storage_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.repository_transfers
    ADD CONSTRAINT repository_transfers_owner_type_owner_id_fkey FOREIGN KEY (owner_type, owner_id) REFERENCES public.namespaces(owner_type, owner_id);

ALTER TABLE ONLY public.repository_transfers
    ADD CONSTRAINT repository_transfers_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.repository_transfers
    ADD CONSTRAINT repository_transfers_requested_by_fkey FOREIGN KEY (requested_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.ssh_keys
    ADD CONSTRAINT ssh_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.storage_reservations
    ADD CONSTRAINT storage_reservations_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_commit_fkey FOREIGN KEY (repo_id, commit_hash) REFERENCES public.commits(repo_id, hash);

ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_members
    ADD CONSTRAINT team_members_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_members
    ADD CONSTRAINT team_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_repositories
    ADD CONSTRAINT team_repositories_added_by_fkey FOREIGN KEY (added_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.team_repositories
    ADD CONSTRAINT team_repositories_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_repositories
    ADD CONSTRAINT team_repositories_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.teams
    ADD CONSTRAINT teams_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.token_decisions
    ADD CONSTRAINT token_decisions_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.token_decisions
    ADD CONSTRAINT token_decisions_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id);

ALTER TABLE ONLY public.token_decisions
    ADD CONSTRAINT token_decisions_token_id_fkey FOREIGN KEY (token_id) REFERENCES public.api_tokens(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_credentials
    ADD CONSTRAINT user_credentials_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_keys
    ADD CONSTRAINT user_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES public.webhooks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id);

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES public.repositories(id) ON DELETE CASCADE;
