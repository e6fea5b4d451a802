-- name: lock_time
-- The time that counts for the locks of a repository, and whether some have expired whose ends have not
-- been written. The order makes it look at expired locks only.
SELECT t.now, (SELECT true FROM locks l WHERE l.expires_at <= t.now AND (l.repo_id = $1) IS TRUE
               ORDER BY l.expires_at LIMIT 1) IS TRUE AS has_expired
FROM (
    SELECT greatest(clock_timestamp(), (SELECT high_water FROM lock_clocks WHERE repo_id = $1)) AS now
) t;

-- name: history
-- The history of a repository behind ($2, $3, $4), newest first.
SELECT h.*, o.username AS owner, a.username AS actor
FROM lock_history h JOIN user_identities o ON o.id = h.owner_id LEFT JOIN user_identities a ON a.id = h.action_by
WHERE h.repo_id = $1 AND (h.action_at, h.fence, h.action) < ($2, $3, $4)
ORDER BY h.action_at DESC, h.fence DESC, h.action DESC
LIMIT $5;

-- name: history_of_path
-- The same, of path $6; only of user $7 unless that is NULL.
SELECT h.*, o.username AS owner, a.username AS actor
FROM lock_history h JOIN user_identities o ON o.id = h.owner_id LEFT JOIN user_identities a ON a.id = h.action_by
WHERE h.repo_id = $1 AND (h.action_at, h.fence, h.action) < ($2, $3, $4) AND h.path = $6
  AND ($7::uuid IS NULL OR h.owner_id = $7)
ORDER BY h.action_at DESC, h.fence DESC, h.action DESC
LIMIT $5;

-- name: history_of_user
-- The same, of user $6.
SELECT h.*, o.username AS owner, a.username AS actor
FROM lock_history h JOIN user_identities o ON o.id = h.owner_id LEFT JOIN user_identities a ON a.id = h.action_by
WHERE h.repo_id = $1 AND (h.action_at, h.fence, h.action) < ($2, $3, $4) AND h.owner_id = $6
ORDER BY h.action_at DESC, h.fence DESC, h.action DESC
LIMIT $5;

-- name: history_of_lock
-- The same, of lock $6: at most its beginning and its end, each of which has an index; only of path $7 and
-- user $8 unless those are NULL.
WITH of_lock AS (
    SELECT * FROM lock_history WHERE lock_id = $6 AND action = 'acquired'
    UNION ALL
    SELECT * FROM lock_history WHERE lock_id = $6 AND action <> 'acquired'
)
SELECT h.*, o.username AS owner, a.username AS actor
FROM of_lock h JOIN user_identities o ON o.id = h.owner_id LEFT JOIN user_identities a ON a.id = h.action_by
WHERE h.repo_id = $1 AND (h.action_at, h.fence, h.action) < ($2, $3, $4)
  AND ($7::text IS NULL OR h.path = $7) AND ($8::uuid IS NULL OR h.owner_id = $8)
ORDER BY h.action_at DESC, h.fence DESC, h.action DESC
LIMIT $5;
