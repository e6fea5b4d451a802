-- name: store_progress
-- Stores the progress ($3) of the job $1, if the lease $2 is still its lease; returns whether it is to end early.
UPDATE jobs SET result = $3::jsonb
WHERE id = $1 AND status = 'running' AND lease_token = $2
RETURNING cancel_requested_at IS NOT NULL AS is_cancelled;
