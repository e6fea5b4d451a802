-- name: get_lock
-- A lock that is live at $3.
SELECT l.*, u.username AS owner
FROM (SELECT k.* FROM locks k WHERE k.id = $2 OFFSET 0) l JOIN user_identities u ON u.id = l.owner_id
WHERE l.repo_id = $1 AND l.expires_at > $3;

-- name: list_locks
-- Locks behind ($3, $4) and before $5 in the order of (path, fence): live at $2, or expired ($7) by then;
-- not of user $8 (NULL: nobody is left out).
SELECT l.*, u.username AS owner
FROM locks l JOIN user_identities u ON u.id = l.owner_id
WHERE l.repo_id = $1 AND (l.path, l.fence) > ($3, $4) AND l.path < $5 AND (l.expires_at <= $2) = $7
  AND l.owner_id IS DISTINCT FROM $8
ORDER BY l.path, l.fence
LIMIT $6;

-- name: list_locks_of
-- The same, of user $8 only.
SELECT l.*, u.username AS owner
FROM locks l JOIN user_identities u ON u.id = l.owner_id
WHERE l.repo_id = $1 AND (l.path, l.fence) > ($3, $4) AND l.path < $5 AND (l.expires_at <= $2) = $7
  AND l.owner_id = $8
ORDER BY l.path, l.fence
LIMIT $6;

-- name: check_paths
-- For each of the paths ($2) that a lock bears on at $4: which bears most for user $3, and how many do.
SELECT DISTINCT ON (over.path) over.path AS asked, l.*, u.username AS owner,
       count(*) OVER asked AS lock_count,
       bool_or(l.lock_type = 'exclusive' AND l.owner_id IS DISTINCT FROM $3) OVER asked AS blocked,
       bool_or(l.lock_type = 'exclusive' AND l.owner_id IS NOT DISTINCT FROM $3) OVER asked AS held
FROM locks_over($1, $2, $4) over
CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = over.lock_id OFFSET 0) l
JOIN user_identities u ON u.id = l.owner_id
WINDOW asked AS (PARTITION BY over.path)
ORDER BY over.path, array_position('{exclusive,shared,advisory}', l.lock_type),
         l.owner_id IS NOT DISTINCT FROM $3, l.path, l.fence;

-- name: user_id
-- The account of a username in lower case.
SELECT id FROM user_identities WHERE lower(username) = $1;
