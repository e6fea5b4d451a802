-- name: list_jobs
-- Up to `count` jobs of some queues, newest first, behind the job `before`; of a type and status unless those are NULL.
-- Two at least, and others while their texts have up to `bytes` together.
SELECT * FROM (
    SELECT p.*, sum(octet_length(concat(p.payload, p.result, p.error))) OVER (ORDER BY p.id DESC) AS size,
           row_number() OVER (ORDER BY p.id DESC) AS number
    FROM (
        SELECT * FROM jobs j
        WHERE j.queue = ANY (:queues::text[]) AND j.id < coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          AND j.job_type = coalesce(:job_type::text, j.job_type) AND j.status = coalesce(:status::text, j.status)
        ORDER BY j.id DESC LIMIT :count
    ) p
) b
WHERE number <= 2 OR size <= :bytes
ORDER BY id DESC;

-- name: list_jobs_of_repository
-- The same, of one repository.
SELECT * FROM (
    SELECT p.*, sum(octet_length(concat(p.payload, p.result, p.error))) OVER (ORDER BY p.id DESC) AS size,
           row_number() OVER (ORDER BY p.id DESC) AS number
    FROM (
        SELECT * FROM jobs j
        WHERE j.repo_id = :repository_id
          AND j.queue = ANY (:queues::text[]) AND j.id < coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          AND j.job_type = coalesce(:job_type::text, j.job_type) AND j.status = coalesce(:status::text, j.status)
        ORDER BY j.id DESC LIMIT :count
    ) p
) b
WHERE number <= 2 OR size <= :bytes
ORDER BY id DESC;

-- name: list_jobs_of_requester
-- The same, of one user who asked for them.
SELECT * FROM (
    SELECT p.*, sum(octet_length(concat(p.payload, p.result, p.error))) OVER (ORDER BY p.id DESC) AS size,
           row_number() OVER (ORDER BY p.id DESC) AS number
    FROM (
        SELECT * FROM jobs j
        WHERE j.requested_by = :user_id
          AND j.queue = ANY (:queues::text[]) AND j.id < coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          AND j.job_type = coalesce(:job_type::text, j.job_type) AND j.status = coalesce(:status::text, j.status)
        ORDER BY j.id DESC LIMIT :count
    ) p
) b
WHERE number <= 2 OR size <= :bytes
ORDER BY id DESC;

-- name: cancel_job
-- Cancels the job $1; no row if it has ended.
SELECT * FROM cancel_job($1);

-- name: job_by_id
-- The job $1.
SELECT * FROM jobs WHERE id = $1;

-- name: lock_dead_letter
-- Locks the dead letter of the job $1, if it is of one of the queues $2; says as which job it was requeued.
SELECT requeued_as FROM dead_letter_jobs WHERE original_job_id = $1 AND queue = ANY ($2::text[]) FOR UPDATE;

-- name: requeue_dead_letter
-- Begins a new job with the work of the dead letter of the job $1, whose row is locked; returns its id.
SELECT requeue_dead_letter($1);
