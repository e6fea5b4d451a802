-- The records of runs.

-- name: close_lost_runs
-- Ends the runs of kind $1 of which nothing was heard for $3, whose job ($2) begins again, or is at work no more.
UPDATE maintenance_runs r
SET outcome = 'interrupted', ended_at = clock_timestamp()
WHERE kind = $1 AND ended_at IS NULL
  AND (job_id = $2 OR renewed_at < clock_timestamp() - $3::interval
       OR NOT EXISTS (SELECT FROM jobs j WHERE j.id = r.job_id AND j.status = 'running'));

-- name: begin_run
-- A new run of kind $1 for the job $2 that the user $3 asked for; no row if another one is under way.
INSERT INTO maintenance_runs (kind, job_id, requested_by) VALUES ($1, $2, $3)
ON CONFLICT (kind) WHERE ended_at IS NULL DO NOTHING
RETURNING id;

-- name: running_job
-- The job of the run of kind $1 that is under way and was heard of within $2.
SELECT r.job_id FROM maintenance_runs r JOIN jobs j ON j.id = r.job_id AND j.status = 'running'
WHERE r.kind = $1 AND r.ended_at IS NULL AND r.renewed_at >= clock_timestamp() - $2::interval;

-- name: renew_run
-- Stores what the run $1 has done so far ($2); no row if it was ended in the meantime.
UPDATE maintenance_runs SET renewed_at = clock_timestamp(), report = $2::jsonb
WHERE id = $1 AND ended_at IS NULL
RETURNING id;

-- name: end_run
-- Ends the run $1 with an outcome ($2) and what it has done ($3).
UPDATE maintenance_runs SET ended_at = clock_timestamp(), outcome = $2, report = $3::jsonb
WHERE id = $1 AND ended_at IS NULL;

-- name: forget_runs
-- Deletes the records that are older than $1.
DELETE FROM maintenance_runs WHERE started_at < clock_timestamp() - $1::interval AND ended_at IS NOT NULL;
