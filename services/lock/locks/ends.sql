-- name: end_locks
-- Ends locks; those that had expired before end as expired.
SELECT end_locks(:repository_id, :lock_ids, :now, ROW (:event, :action, :actor_id, :reason)::lock_end);

-- name: end_expired_locks
-- Ends up to $3 locks that had expired by $2; found by the time, of which there is an index.
SELECT count(*) FROM end_locks(
    $1, ARRAY(SELECT id FROM locks WHERE (repo_id = $1) IS TRUE AND expires_at <= $2 ORDER BY expires_at LIMIT $3),
    $2, ROW ('lock.expired', 'expired', NULL, NULL)::lock_end);
