-- name: judge_locks
-- For each path that a user wants to lock: the lock that the user holds on it already, or the first that
-- excludes the new one.
SELECT * FROM judge_locks(:repository_id, :paths, :user_id, :lock_type, :now, :replaced);

-- name: grant_locks
-- Grants locks on paths that are free.
SELECT lock_id, path, fence
FROM grant_locks(:repository_id, :paths, :now, :expires_at, :actor_id,
                 ROW (:holder_id, :lock_type, :reason, :base_commit, :release_on_push)::lock_terms);
