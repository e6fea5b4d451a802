-- name: end_jobs
-- Writes how attempts have ended; returns the jobs whose leases these still were, with what they are now.
SELECT job_id, job_status
FROM end_jobs(:ids::uuid[], :tokens::uuid[], :outcomes::text[], :errors::text[], :results::jsonb[],
              :delays::interval[]);
