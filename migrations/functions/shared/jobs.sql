-- How work is put on a queue, claimed and ended. Where jobs are found by a list, `= ANY` says it once more than a join needs:
-- a planner that believes that there are no jobs would go through the list for each one that there is.

-- Returns an id for a job: a UUID of version 7, so the order of ids is the order of time, to the millisecond.
CREATE OR REPLACE FUNCTION new_job_id()
RETURNS UUID
LANGUAGE sql VOLATILE
AS $$
    SELECT encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::BIGINT) FROM 3) FROM 1 FOR 6
    ), 52, 1), 53, 1), 'hex')::UUID
$$;

-- Puts a job on its queue, inside the caller's transaction, and returns its id. With a dedup key, a job of
-- this type and key that nobody has claimed yet is returned instead, made no later and no less urgent.
-- Locking that row is intended: it cannot start before this transaction, whose work it must see, ends.
-- No NOTIFY here: it holds a global lock during commit. The job library sends its hints afterwards.
CREATE OR REPLACE FUNCTION enqueue_job(
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
    INSERT INTO jobs AS waiting (id, queue, job_type, payload, priority, scheduled_at, max_attempts,
                                 repo_id, requested_by, dedup_key)
    VALUES (new_job_id(), p_queue, p_job_type, p_payload, p_priority, clock_timestamp() + p_delay, p_max_attempts,
            p_repo_id, p_requested_by, p_dedup_key)
    ON CONFLICT (job_type, dedup_key) WHERE status = 'pending' AND dedup_key IS NOT NULL
    DO UPDATE SET priority = greatest(waiting.priority, excluded.priority),
                  scheduled_at = least(waiting.scheduled_at, excluded.scheduled_at)
    RETURNING id
$$;

-- Puts many jobs on their queues at once, one element per job in each array, without dedup keys; returns their ids
-- in that order.
CREATE OR REPLACE FUNCTION enqueue_jobs(
    p_queues TEXT[],
    p_job_types TEXT[],
    p_payloads JSONB[],
    p_priorities INT[],
    p_delays INTERVAL[],
    p_max_attempts INT[],
    p_repo_ids UUID[],
    p_requested_by UUID[]
)
RETURNS SETOF UUID
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

-- Gives a worker up to p_limits[i] due jobs of the queue p_queues[i], those of the highest priority first, and of
-- them those that have waited longest. Only jobs of p_types, each with its lease in p_leases: during a change of
-- releases there may be types that this worker does not know. Attempts are counted here, so a job that kills its
-- worker has used one up. Goes from priority to priority, lest jobs of a later time stand in the way. The commit does
-- not wait for the disk: a claim that a crash of the database undoes is made again.
CREATE OR REPLACE FUNCTION claim_jobs(
    p_queues TEXT[],
    p_limits INT[],
    p_types TEXT[],
    p_leases INTERVAL[],
    p_worker TEXT
)
RETURNS SETOF jobs
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
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

-- Makes leases last for p_leases from now on, and returns the jobs whose leases these still are, each with whether
-- it is to end early. A job that is not returned belongs to somebody else by now.
CREATE OR REPLACE FUNCTION renew_jobs(p_ids UUID[], p_tokens UUID[], p_leases INTERVAL[])
RETURNS TABLE (job_id UUID, is_cancelled BOOLEAN)
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

-- Writes how attempts have ended, one element per job in each array, and returns the jobs whose leases these still
-- were; the others stay as they are. An outcome is `completed`, `failed`, `cancelled`, `retry` (it begins again
-- after its delay) or `release` (the worker gives it back, and the attempt does not count). A job that was to be
-- cancelled does not begin again. What has failed is buried here, once.
CREATE OR REPLACE FUNCTION end_jobs(
    p_ids UUID[],
    p_tokens UUID[],
    p_outcomes TEXT[],
    p_errors TEXT[],
    p_results JSONB[],
    p_delays INTERVAL[]
)
RETURNS TABLE (job_id UUID, job_status TEXT)
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

-- Takes up to p_limit jobs away from workers whose leases have expired, and returns them: they begin again at once,
-- or end as cancelled, or are buried, if that was their last attempt. Any worker does it, for all queues.
CREATE OR REPLACE FUNCTION end_expired_leases(p_limit INT)
RETURNS TABLE (job_id UUID, job_type TEXT, job_status TEXT)
LANGUAGE plpgsql
SET enable_seqscan = off
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

-- Cancels a job, and returns it: one that waits ends now, one that runs is told so. No row if it has ended.
CREATE OR REPLACE FUNCTION cancel_job(p_id UUID)
RETURNS SETOF jobs
LANGUAGE sql
AS $$
    UPDATE jobs j SET
        cancel_requested_at = coalesce(j.cancel_requested_at, clock_timestamp()),
        status = CASE WHEN j.status = 'pending' THEN 'cancelled' ELSE j.status END,
        completed_at = CASE WHEN j.status = 'pending' THEN clock_timestamp() END
    WHERE j.id = p_id AND j.status IN ('pending', 'running')
    RETURNING j.*
$$;

-- Begins a new job with the work of the dead letter of a job, and returns its id. The caller has locked the row.
CREATE OR REPLACE FUNCTION requeue_dead_letter(p_job_id UUID)
RETURNS UUID
LANGUAGE sql
AS $$
    UPDATE dead_letter_jobs d SET
        requeued_at = clock_timestamp(),
        requeued_as = enqueue_job(d.queue, d.job_type, d.payload, d.priority, INTERVAL '0', d.max_attempts, d.repo_id,
                                  d.requested_by)
    WHERE d.original_job_id = p_job_id AND d.requeued_at IS NULL
    RETURNING d.requeued_as
$$;

-- Deletes up to p_limit jobs that ended longer ago than p_keep, and returns how many; jobs that have failed go after
-- p_keep_failed, with their dead letters.
CREATE OR REPLACE FUNCTION purge_jobs(p_keep INTERVAL, p_keep_failed INTERVAL, p_limit INT)
RETURNS INT
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
