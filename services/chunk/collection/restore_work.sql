-- What a restore does: lock in one statement, work in the next.

-- name: get_work
-- The restore $1, and how long it is to its time; no row if its repository is gone.
SELECT repo_id, hashes, is_permanent, restored_at, expected_at - clock_timestamp() AS left
FROM chunk_restores WHERE id = $1;

-- name: archived_packs
-- The packs in archives in which chunks ($2) of repository $1 lie that are archived for it.
SELECT DISTINCT c.storage_bucket, c.pack_key
FROM chunk_refs r JOIN chunks c ON c.hash = r.chunk_hash
WHERE r.repo_id = $1 AND r.chunk_hash = ANY ($2::text[]) AND r.storage_class IN ('glacier', 'deep_archive')
  AND c.storage_class IN ('glacier', 'deep_archive')
ORDER BY 1, 2;

-- name: cold_chunks
-- Those of the chunks $2 of repository $1 that lie in a colder place than hot ones.
SELECT decode(c.hash, 'hex') AS digest, c.size, c.compression, c.storage_bucket, c.storage_key, c.pack_key
FROM chunk_refs r JOIN chunks c ON c.hash = r.chunk_hash
WHERE r.repo_id = $1 AND r.chunk_hash = ANY ($2::text[]) AND c.storage_class <> 'standard' AND c.lost_at IS NULL;

-- name: hold_chunks
-- Locks the chunks $1: their references are made hotter only under this lock.
SELECT hash FROM chunks WHERE hash = ANY ($1::text[]) ORDER BY hash FOR NO KEY UPDATE;

-- name: warm_references
-- Repository $1 has those of the chunks $2 hot that lie where hot ones do; returns how many had not been.
WITH warm AS MATERIALIZED (
    SELECT r.chunk_hash
    FROM chunk_refs r
    WHERE r.repo_id = $1 AND r.chunk_hash = ANY ($2::text[]) AND r.storage_class IN ('infrequent', 'glacier', 'deep_archive')
      AND (SELECT c.storage_class = 'standard' FROM chunks c WHERE c.hash = r.chunk_hash)
    ORDER BY r.chunk_hash
    FOR NO KEY UPDATE
), warmed AS (
    UPDATE chunk_refs r SET storage_class = NULL, restored_until = NULL, last_seen_at = clock_timestamp()
    WHERE r.repo_id = $1 AND r.chunk_hash = ANY (ARRAY(SELECT chunk_hash FROM warm))
    RETURNING 1
)
SELECT count(*)::int FROM warmed;

-- name: note_restored
-- Repository $1 can read those of the chunks $2 that are archived for it, for $3; returns how many.
WITH archived AS MATERIALIZED (
    SELECT chunk_hash FROM chunk_refs
    WHERE repo_id = $1 AND chunk_hash = ANY ($2::text[]) AND storage_class IN ('glacier', 'deep_archive')
    ORDER BY chunk_hash
    FOR NO KEY UPDATE
), restored AS (
    UPDATE chunk_refs r SET restored_until = clock_timestamp() + $3::interval
    WHERE r.repo_id = $1 AND r.chunk_hash = ANY (ARRAY(SELECT chunk_hash FROM archived))
    RETURNING 1
)
SELECT count(*)::int FROM restored;

-- name: end_restore
-- The restore $1 is done; its chunks can be read for $2 (NULL = they are hot).
UPDATE chunk_restores SET restored_at = clock_timestamp(), restored_until = clock_timestamp() + $2::interval
WHERE id = $1;
