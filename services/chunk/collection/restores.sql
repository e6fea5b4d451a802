-- name: forget_restores
-- Deletes the records of restores that were due longer than $1 ago.
DELETE FROM chunk_restores WHERE expected_at < statement_timestamp() - $1::interval;

-- name: hold_restores
-- Lets nobody else begin a restore of repository $1 until the commit.
SELECT pg_advisory_xact_lock(advisory_key('restores', $1));

-- name: count_waiting
-- How many restores of repository $1 have not ended, nor were given up, $2 after their time.
SELECT count(*) FROM chunk_restores
WHERE repo_id = $1 AND restored_at IS NULL AND expected_at > statement_timestamp() - $2::interval;

-- name: insert_restore
-- A new restore.
INSERT INTO chunk_restores (id, repo_id, job_id, requested_by, hashes, is_permanent, chunk_count, stored_bytes, expected_at)
VALUES (:restore_id, :repository_id, :job_id, :user_id, :hashes, :is_permanent, :chunk_count, :stored_bytes,
        clock_timestamp() + :delay::interval)
RETURNING id, job_id, chunk_count, stored_bytes, requested_at, expected_at, restored_at, restored_until;

-- name: get_restore
-- The restore $2 of repository $1.
SELECT id, job_id, chunk_count, stored_bytes, requested_at, expected_at, restored_at, restored_until
FROM chunk_restores WHERE id = $2 AND repo_id = $1;
