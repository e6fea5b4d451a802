-- name: schedules
-- Each of some schedules ($1), with its times as they are stored (NULL = it is new).
SELECT n.name, s.cron, s.due_at, clock_timestamp() AS now,
       coalesce(extract(epoch FROM s.due_at - clock_timestamp()), 0)::float8 AS seconds_left
FROM unnest($1::text[]) AS n (name) LEFT JOIN job_schedules s ON s.name = n.name;

-- name: arrange_schedules
-- Stores schedules ($1), their times ($2), and when they are next due ($3), unless another process just has.
INSERT INTO job_schedules AS s (name, cron, due_at)
SELECT n.name, n.cron, n.due_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n (name, cron, due_at)
ORDER BY n.name
ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, due_at = excluded.due_at WHERE s.cron <> excluded.cron;

-- name: lock_due_schedule
-- Locks the schedule $1 if it is due and no other process has locked it; returns the time.
SELECT clock_timestamp() FROM job_schedules WHERE name = $1 AND due_at <= clock_timestamp()
FOR UPDATE SKIP LOCKED;

-- name: move_schedule
-- The schedule $1 has fired, and is next due at $2.
UPDATE job_schedules SET due_at = $2, fired_at = clock_timestamp() WHERE name = $1;

-- name: bring_forward
-- The schedule $1, whose times are $2, is due at $3 and not later.
UPDATE job_schedules SET due_at = $3 WHERE name = $1 AND cron = $2 AND due_at > $3;
