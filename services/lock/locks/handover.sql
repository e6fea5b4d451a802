-- name: named_lock
-- A lock ($2) that the repository has or had, with its row if it is live at $3.
SELECT h.owner_id AS last_owner_id, u.username AS owner, l.*
FROM lock_history h
JOIN user_identities u ON u.id = h.owner_id
LEFT JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = h.lock_id AND (k.expires_at > $3) IS TRUE OFFSET 0) l ON true
WHERE h.lock_id = $2 AND h.action = 'acquired' AND (h.repo_id = $1) IS TRUE;

-- name: writer
-- The active user of this name in lower case, if the user may write to the repository.
SELECT u.id, u.username
FROM user_identities u
WHERE lower(u.username) = $2 AND u.status = 'active' AND repository_permission(u.id, $1) >= 2;

-- name: obstacle
-- What would stand in the way of user $2 on the path $3 in mode $4 at $5 if the lock $6 were gone: another
-- lock of that user on the path itself, or anybody else's on it, above or below it.
WITH near AS (
    SELECT l.* FROM locks_over($1, ARRAY[$3::text], $5) over
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = over.lock_id OFFSET 0) l
    UNION ALL
    SELECT l.* FROM locks l
    WHERE right($3, 1) = '/' AND l.repo_id = $1 AND l.path > $3 AND l.path < left($3, -1) || '0'
      AND l.expires_at > $5
)
SELECT n.*, u.username AS owner
FROM near n JOIN user_identities u ON u.id = n.owner_id
WHERE n.id <> $6
  AND (n.owner_id = $2 AND n.path = $3 AND (n.lock_type = $4 OR 'advisory' NOT IN ($4, n.lock_type))
       OR n.owner_id <> $2 AND 'advisory' NOT IN ($4, n.lock_type) AND 'exclusive' IN ($4, n.lock_type))
ORDER BY n.path, n.fence
LIMIT 1;

-- name: hand_over
-- Grants what the lock $2 was to user $3 at $4, for the time that it had left; user $5 did it.
SELECT lock_id, fence FROM grant_locks($1, ARRAY[$2::text], $3, $4, $5, $6, $7, $8, $9, $10, $11);
