-- name: claim_jobs
-- Claims due jobs of some queues.
SELECT * FROM claim_jobs(:queues::text[], :limits::int[], :types::text[], :leases::interval[], :worker);

-- name: renew_jobs
-- Renews leases ($2) of jobs ($1) for $3; returns those that were still leases, and whether the job is to end early.
SELECT job_id, is_cancelled FROM renew_jobs($1::uuid[], $2::uuid[], $3::interval[]);

-- name: end_expired_leases
-- Takes up to $1 jobs away from workers that have died.
SELECT job_id, job_type, job_status FROM end_expired_leases($1);
