-- name: enqueue_job
-- Puts a job on its queue, in the caller's transaction, and returns its id.
SELECT enqueue_job(:queue, :job_type, :payload::jsonb, :priority, :delay, :max_attempts, :repository_id,
                   :requested_by, :dedup_key);

-- name: enqueue_jobs
-- Puts many jobs on their queues; returns their ids in order.
SELECT enqueue_jobs(:queues::text[], :job_types::text[], :payloads::jsonb[], :priorities::int[],
                    :delays::interval[], :max_attempts::int[], :repository_ids::uuid[], :requested_by::uuid[]) AS id;

-- name: find_active
-- The job of this type for repository $1 that waits or is at work, the last that was asked for.
SELECT id FROM jobs
WHERE repo_id = $1 AND job_type = $2 AND status IN ('pending', 'running')
ORDER BY id DESC
LIMIT 1;

-- name: hasten_waiting
-- Makes the oldest job of type $2 for repository $1 due that waits, and returns it. Locked, it cannot start before this
-- transaction ends.
UPDATE jobs SET scheduled_at = least(scheduled_at, clock_timestamp())
WHERE id = (SELECT id FROM jobs WHERE repo_id = $1 AND job_type = $2 AND status = 'pending' ORDER BY id LIMIT 1 FOR NO KEY UPDATE)
RETURNING id;

-- name: enqueue_keyed
-- Puts jobs of one type on its queue, each under its key.
SELECT enqueue_job(:queue, :job_type, n.payload, 0, :delay, :max_attempts, NULL, NULL, n.key)
FROM unnest(:keys::text[], :payloads::jsonb[]) n(key, payload);
