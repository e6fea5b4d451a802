-- name: acquire_locks
-- Grants locks on all of the paths if no lock is met on any of them; otherwise returns one row without a lock.
SELECT server_time, lock_id, path, fence
FROM acquire_locks(:repository_id, :paths, :ttl, ROW (:holder_id, :lock_type, :reason, NULL, :release_on_push)::lock_terms);
