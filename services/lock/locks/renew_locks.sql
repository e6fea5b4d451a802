-- name: own_locks
-- Those of the locks ($2) that user $3 holds or held in a repository, and whether one has expired at $4 without
-- an end in the history. By id, and not by repository or owner, which the planner may take for more selective.
SELECT h.lock_id, coalesce(l.expires_at <= $4, false) AS is_expired
FROM lock_history h
LEFT JOIN LATERAL (SELECT k.expires_at FROM locks k WHERE k.id = h.lock_id OFFSET 0) l ON true
WHERE h.lock_id = ANY ($2::uuid[]) AND h.action = 'acquired'
  AND (h.repo_id = $1) IS TRUE AND (h.owner_id = $3) IS TRUE;

-- name: renew_locks
-- Makes the locks with these fences last until expires_at at least, if the holder still holds them.
SELECT r.*, u.username AS owner
FROM renew_locks(:repository_id, :holder_id, :lock_ids, :fences, :now, :expires_at) r
JOIN user_identities u ON u.id = r.owner_id;
