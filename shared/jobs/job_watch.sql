-- name: job_states
-- What watchers see of some jobs ($1), in short: it differs after each change.
SELECT id, concat_ws(' ', status, attempts, scheduled_at, cancel_requested_at, result) AS state
FROM jobs WHERE id = ANY ($1::uuid[]);
