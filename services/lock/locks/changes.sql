-- name: own_locks
-- Those of the locks ($2) that user $3 holds or held in a repository, and whether one waits at $4 for its
-- end to be written. By id, and not by repository or owner, which the planner may take for more selective.
SELECT h.lock_id, coalesce(l.expires_at <= $4, false) AS is_expired
FROM lock_history h
LEFT JOIN LATERAL (SELECT k.expires_at FROM locks k WHERE k.id = h.lock_id OFFSET 0) l ON true
WHERE h.lock_id = ANY ($2::uuid[]) AND h.action = 'acquired'
  AND (h.repo_id = $1) IS TRUE AND (h.owner_id = $3) IS TRUE;

-- name: renew_locks
-- Makes the locks $3 with the fences $4, of user $2, last until $6 at least, if they are live at $5.
SELECT r.*, u.username AS owner
FROM renew_locks($1, $2, $3, $4, $5, $6, $7) r JOIN user_identities u ON u.id = r.owner_id;

-- name: release
-- Ends those of the locks $3 that user $2 holds.
SELECT server_time, lock_id, released FROM release_locks($1, $2, $3);
