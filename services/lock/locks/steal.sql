-- name: named_locks
-- Those of the locks ($2) that the repository has or had; live_until is NULL if the lock has ended by $3.
SELECT h.lock_id AS id, h.path, h.lock_type, h.owner_id, l.expires_at AS live_until
FROM lock_history h
LEFT JOIN LATERAL (SELECT k.expires_at FROM locks k WHERE k.id = h.lock_id AND (k.expires_at > $3) IS TRUE OFFSET 0) l ON true
WHERE h.lock_id = ANY ($2::uuid[]) AND h.action = 'acquired' AND (h.repo_id = $1) IS TRUE;
