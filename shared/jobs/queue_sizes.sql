-- name: queue_sizes
-- For each of the queues ($1) how many jobs could begin now, and how many dead letters nobody has requeued; each up to
-- $2.
SELECT q.queue,
       (SELECT count(*) FROM (SELECT FROM jobs j WHERE j.queue = q.queue AND j.status = 'pending'
                              AND j.scheduled_at <= statement_timestamp() LIMIT $2) waiting) AS due,
       (SELECT count(*) FROM (SELECT FROM dead_letter_jobs d WHERE d.queue = q.queue AND d.requeued_at IS NULL
                              LIMIT $2) dead) AS dead
FROM unnest($1::text[]) AS q (queue);
