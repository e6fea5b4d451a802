-- name: purge_events
-- Deletes up to $2 events that are older than $1; returns how many, and 0 while another process is at it.
SELECT purge_events($1, $2) AS count;

-- name: purge_idempotency_keys
-- Deletes up to $2 request ids that are older than $1; returns how many, and 0 while another process is at it.
SELECT purge_idempotency_keys($1, $2) AS count;
