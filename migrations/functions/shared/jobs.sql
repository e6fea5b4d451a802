-- How work is put on a queue.

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
    INSERT INTO jobs AS waiting (queue, job_type, payload, priority, scheduled_at, max_attempts,
                                 repo_id, requested_by, dedup_key)
    VALUES (p_queue, p_job_type, p_payload, p_priority, clock_timestamp() + p_delay, p_max_attempts,
            p_repo_id, p_requested_by, p_dedup_key)
    ON CONFLICT (job_type, dedup_key) WHERE status = 'pending' AND dedup_key IS NOT NULL
    DO UPDATE SET priority = greatest(waiting.priority, excluded.priority),
                  scheduled_at = least(waiting.scheduled_at, excluded.scheduled_at)
    RETURNING id
$$;
