-- What the policies of repositories want colder, and where it lies.

-- name: list_policies
-- Up to $2 repositories behind $1, with their policies.
SELECT l.repo_id, l.lifecycle_policy::text AS policy
FROM repository_lifecycles l JOIN repository_identities i ON i.id = l.repo_id AND i.deleted_at IS NULL
WHERE l.repo_id > $1
ORDER BY l.repo_id LIMIT $2;

-- name: next_page
-- The last of the next $3 chunks behind $2 that repository $1 has; NULL = there is none.
SELECT max(chunk_hash) AS last
FROM (SELECT chunk_hash FROM chunk_refs WHERE repo_id = $1 AND chunk_hash > $2 ORDER BY chunk_hash LIMIT $3) AS page;

-- name: mark_due
-- Of these references of a repository, those are wanted colder that nobody has brought or read for so long; returns how
-- many. Neither claims, nor lists of chunks. What somebody has restored waits until that ends.
WITH due AS MATERIALIZED (
    SELECT chunk_hash,
           CASE WHEN last_seen_at < clock_timestamp() - :deep_archive::interval THEN 'deep_archive'
                WHEN last_seen_at < clock_timestamp() - :glacier::interval THEN 'glacier'
                WHEN last_seen_at < clock_timestamp() - :infrequent::interval THEN 'infrequent' END AS wanted,
           storage_class
    FROM chunk_refs
    WHERE repo_id = :repository_id AND chunk_hash > :after AND chunk_hash <= :last
      AND ref_count > 0 AND storage_class IS DISTINCT FROM 'standard'
      AND coalesce(restored_until <= clock_timestamp(), TRUE)
    ORDER BY chunk_hash
    FOR NO KEY UPDATE SKIP LOCKED
), marked AS (
    UPDATE chunk_refs r SET storage_class = d.wanted, restored_until = NULL
    FROM due d
    WHERE r.repo_id = :repository_id AND r.chunk_hash > :after AND r.chunk_hash <= :last AND r.chunk_hash = d.chunk_hash
      AND storage_rank(d.wanted) > storage_rank(d.storage_class)
    RETURNING 1
)
SELECT count(*)::int FROM marked;

-- name: misplaced_chunks
-- Of these chunks of a repository, those that lie hotter than every repository wants them that has them, and nobody has
-- restored them; wanted: the rank of the class.
SELECT decode(c.hash, 'hex') AS digest, c.size, c.compression, c.storage_bucket, c.storage_key, c.pack_key, w.wanted
FROM chunk_refs r
JOIN chunks c ON c.hash = r.chunk_hash
CROSS JOIN LATERAL (
    SELECT min(storage_rank(o.storage_class)) AS wanted, max(o.restored_until) AS restored_until
    FROM chunk_refs o WHERE o.chunk_hash = c.hash) AS w
WHERE r.repo_id = :repository_id AND r.chunk_hash > :after AND r.chunk_hash <= :last
  AND r.storage_class IN ('infrequent', 'glacier', 'deep_archive')
  AND storage_rank(c.storage_class) < storage_rank(r.storage_class)
  AND storage_rank(c.storage_class) < w.wanted
  AND coalesce(w.restored_until <= clock_timestamp(), TRUE)
  AND c.lost_at IS NULL;
