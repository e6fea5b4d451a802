-- name: lock_time
-- The time of a repository's locks, and whether some have expired whose ends have not
-- been written. The order makes it look at expired locks only.
SELECT t.now, (SELECT true FROM locks l WHERE l.expires_at <= t.now AND (l.repo_id = $1) IS TRUE
               ORDER BY l.expires_at LIMIT 1) IS TRUE AS has_expired
FROM (
    SELECT greatest(clock_timestamp(), (SELECT high_water FROM lock_clocks WHERE repo_id = $1)) AS now
) t;

-- name: history
-- Up to `count` entries of the history of a repository behind a position, newest first.
SELECT h.*, o.username AS owner, a.username AS actor
FROM lock_history h JOIN user_identities o ON o.id = h.owner_id LEFT JOIN user_identities a ON a.id = h.action_by
WHERE h.repo_id = :repository_id AND (h.action_at, h.fence, h.action) < (:at, :fence, :action)
ORDER BY h.action_at DESC, h.fence DESC, h.action DESC
LIMIT :count;

-- name: history_of_path
-- The same, of a path; only of one user unless user_id is NULL.
SELECT h.*, o.username AS owner, a.username AS actor
FROM lock_history h JOIN user_identities o ON o.id = h.owner_id LEFT JOIN user_identities a ON a.id = h.action_by
WHERE h.repo_id = :repository_id AND (h.action_at, h.fence, h.action) < (:at, :fence, :action) AND h.path = :path
  AND (:user_id::uuid IS NULL OR h.owner_id = :user_id)
ORDER BY h.action_at DESC, h.fence DESC, h.action DESC
LIMIT :count;

-- name: history_of_user
-- The same, of a user.
SELECT h.*, o.username AS owner, a.username AS actor
FROM lock_history h JOIN user_identities o ON o.id = h.owner_id LEFT JOIN user_identities a ON a.id = h.action_by
WHERE h.repo_id = :repository_id AND (h.action_at, h.fence, h.action) < (:at, :fence, :action) AND h.owner_id = :user_id
ORDER BY h.action_at DESC, h.fence DESC, h.action DESC
LIMIT :count;

-- name: history_of_lock
-- The same, of a lock: at most its beginning and its end, each of which has an index; only of one path and
-- user unless those are NULL.
WITH of_lock AS (
    SELECT * FROM lock_history WHERE lock_id = :lock_id AND action = 'acquired'
    UNION ALL
    SELECT * FROM lock_history WHERE lock_id = :lock_id AND action <> 'acquired'
)
SELECT h.*, o.username AS owner, a.username AS actor
FROM of_lock h JOIN user_identities o ON o.id = h.owner_id LEFT JOIN user_identities a ON a.id = h.action_by
WHERE h.repo_id = :repository_id AND (h.action_at, h.fence, h.action) < (:at, :fence, :action)
  AND (:path::text IS NULL OR h.path = :path) AND (:user_id::uuid IS NULL OR h.owner_id = :user_id)
ORDER BY h.action_at DESC, h.fence DESC, h.action DESC
LIMIT :count;
