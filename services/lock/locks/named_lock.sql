-- name: named_lock
-- A lock ($2) that the repository has or had, with its row if it is live at $3.
SELECT h.owner_id AS last_owner_id, u.username AS owner, l.*
FROM lock_history h
JOIN user_identities u ON u.id = h.owner_id
LEFT JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = h.lock_id AND (k.expires_at > $3) IS TRUE OFFSET 0) l ON true
WHERE h.lock_id = $2 AND h.action = 'acquired' AND (h.repo_id = $1) IS TRUE;
