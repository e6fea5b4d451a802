-- name: store_progress
-- Stores the progress ($3) of the job $1, if the lease $2 is still its lease; returns whether it is to end early.
UPDATE jobs SET result = $3::jsonb
WHERE id = $1 AND status = 'running' AND lease_token = $2
RETURNING cancel_requested_at IS NOT NULL AS is_cancelled;

-- name: has_rival
-- Whether another job of the type of job $1 is at work for its repository; of those that one claim has begun, an older one.
-- Each claim is committed before it is asked: of two claims, the later one sees the other.
SELECT EXISTS (
    SELECT FROM jobs j JOIN jobs o ON o.repo_id = j.repo_id AND o.job_type = j.job_type AND o.id <> j.id
    WHERE j.id = $1 AND o.status = 'running'
      AND (o.id < j.id OR (o.locked_by, o.started_at) IS DISTINCT FROM (j.locked_by, j.started_at)));
