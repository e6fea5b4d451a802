-- name: count_locks
-- How many locks the repository has, counted up to a number.
SELECT count_locks($1, $2);

-- name: locked_places
-- The next paths after one, in order, with locks that answer a question.
SELECT path FROM locked_places(:repository_id, :user_id, :question, :after, :count);

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
