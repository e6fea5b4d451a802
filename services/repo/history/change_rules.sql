-- name: lock_repository
-- The repository's rules for changes; it stays there until the end of the transaction.
SELECT r.archived OR r.disabled AS read_only,
       s.require_lock_for_edit, s.max_file_size_bytes, s.allowed_extensions, s.portable_names
FROM repositories r JOIN repository_settings s ON s.repo_id = r.id
WHERE r.id = $1 AND r.deleted_at IS NULL
FOR KEY SHARE OF r;

-- name: default_tree
-- Tree of the default branch.
SELECT c.tree_hash
FROM repositories r
JOIN branches b ON b.repo_id = r.id AND b.name = r.default_branch
JOIN commits c ON c.repo_id = b.repo_id AND c.hash = b.head_commit
WHERE r.id = $1;

-- name: has_locks
-- Whether there is any lock in the repository.
SELECT has_locks($1);

-- name: lock_conflicts
-- Other users' exclusive locks on paths, with their holders.
SELECT c.path, c.lock_id, c.lock_path, c.reason, c.locked_at, c.expires_at, u.username AS holder
FROM lock_conflicts($1, $2, $3::text[]) c JOIN user_identities u ON u.id = c.owner_id
ORDER BY c.path;

-- name: locks_missing
-- Those of the paths that the user holds no lock on.
SELECT locks_missing($1, $2, $3::text[]);

-- name: locks_stale
-- Those of the locks that the user does not hold under their fences any more.
SELECT locks_stale($1, $2, $3::uuid[], $4::bigint[]);

-- name: release_pushed_locks
-- Ends the user's locks on paths that were taken until the push.
SELECT lock_id, path FROM release_pushed_locks($1, $2, $3::text[]);
