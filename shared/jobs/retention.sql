-- name: purge_events
-- Deletes up to $2 events that are older than $1; returns how many, and 0 while another process is at it.
SELECT purge_events($1, $2) AS count;

-- name: purge_idempotency_keys
-- Deletes up to $2 request ids that are older than $1; returns how many, and 0 while another process is at it.
SELECT purge_idempotency_keys($1, $2) AS count;

-- name: purge_jobs
-- Deletes up to $3 jobs that ended before $1; those that have failed, and their dead letters, before $2.
SELECT purge_jobs($1, $2, $3) AS count;

-- name: make_partitions
-- Makes the partitions of this month and the $1 following ones; returns the names of the new ones.
SELECT unnest(ensure_month_partitions($1));

-- name: drop_partitions
-- Drops the partitions of the table $1 but for this month and the $2 before; returns their names.
SELECT unnest(drop_month_partitions(
    $1, (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => $2::int))::date));
