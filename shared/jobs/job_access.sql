-- name: job
-- The job $1, if it is of one of the queues $2.
SELECT * FROM jobs WHERE id = $1 AND queue = ANY ($2::text[]);
