-- name: named_locks
-- Those of the locks that the repository has or had, each with the paths on which it excludes a new lock of
-- the user. is_live: the lock has not ended by now.
SELECT h.lock_id AS id, h.path, h.owner_id, l.is_live IS TRUE AS is_live,
       ARRAY(SELECT asked.path FROM unnest(:paths::text[]) AS asked (path)
             WHERE lock_excludes(h.path, h.owner_id, h.lock_type, asked.path, :user_id::uuid, :lock_type::text))
       AS excluded_paths
FROM lock_history h
LEFT JOIN LATERAL (SELECT true AS is_live FROM locks k
                   WHERE k.id = h.lock_id AND (k.expires_at > :now) IS TRUE OFFSET 0) l ON true
WHERE h.lock_id = ANY (:lock_ids::uuid[]) AND h.action = 'acquired' AND (h.repo_id = :repository_id) IS TRUE
ORDER BY h.owner_id, h.path, h.lock_id;
