-- name: get_lock
-- A lock that is live now.
SELECT l.*, u.username AS owner
FROM (SELECT k.* FROM locks k WHERE k.id = :lock_id OFFSET 0) l JOIN user_identities u ON u.id = l.owner_id
WHERE l.repo_id = :repository_id AND l.expires_at > :now;

-- name: list_locks
-- Up to `count` locks behind (path, fence) and before the path `end`: live, or expired by now; not of one user
-- unless user_id is NULL.
SELECT l.*, u.username AS owner
FROM locks l JOIN user_identities u ON u.id = l.owner_id
WHERE l.repo_id = :repository_id AND (l.path, l.fence) > (:path, :fence) AND l.path < :end
  AND (l.expires_at <= :now) = :expired AND l.owner_id IS DISTINCT FROM :user_id
ORDER BY l.path, l.fence
LIMIT :count;

-- name: list_locks_of_user
-- The same, of one user only.
SELECT l.*, u.username AS owner
FROM locks l JOIN user_identities u ON u.id = l.owner_id
WHERE l.repo_id = :repository_id AND (l.path, l.fence) > (:path, :fence) AND l.path < :end
  AND (l.expires_at <= :now) = :expired AND l.owner_id = :user_id
ORDER BY l.path, l.fence
LIMIT :count;

-- name: check_paths
-- For each of the paths that a live lock covers: the strongest lock for the user, how many locks there are, and
-- what they forbid and permit.
SELECT DISTINCT ON (over.path) over.path AS asked, l.*, u.username AS owner,
       count(*) OVER asked AS lock_count,
       bool_or(lock_forbids_change(l.owner_id, l.lock_type, :user_id)) OVER asked AS blocked,
       bool_or(lock_permits_change(l.owner_id, l.lock_type, :user_id)) OVER asked AS held
FROM locks_over(:repository_id, :paths, :now) over
CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = over.lock_id OFFSET 0) l
JOIN user_identities u ON u.id = l.owner_id
WINDOW asked AS (PARTITION BY over.path)
ORDER BY over.path, array_position('{exclusive,shared,advisory}', l.lock_type),
         l.owner_id IS NOT DISTINCT FROM :user_id, l.path, l.fence;
