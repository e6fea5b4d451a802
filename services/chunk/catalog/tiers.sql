-- name: archived_chunks
-- Those of the chunks ($2, packed) that repository $1 has to restore before it reads them.
SELECT decode(chunk_hash, 'hex') AS digest, stored_size, storage_class, storage_rank(storage_class) AS rank
FROM chunk_refs
WHERE repo_id = $1
  AND chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
  AND storage_class IN ('glacier', 'deep_archive')
  AND coalesce(restored_until <= clock_timestamp(), TRUE);

-- name: cold_chunks
-- Those of the chunks ($2, packed) that repository $1 does not want hot.
SELECT decode(chunk_hash, 'hex') AS digest, stored_size, storage_class, storage_rank(storage_class) AS rank
FROM chunk_refs
WHERE repo_id = $1
  AND chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
  AND storage_class IN ('infrequent', 'glacier', 'deep_archive');

-- name: cool_chunks
-- Repository $1 wants those of the chunks ($2, packed) in class $3 that it has hotter; returns how many. Neither lists of
-- chunks, nor claims: of these it is not known yet whether they are lists.
WITH hotter AS MATERIALIZED (
    SELECT chunk_hash
    FROM chunk_refs
    WHERE repo_id = $1
      AND chunk_hash = ANY (ARRAY(
          SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
          FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
      AND ref_count > 0
      AND storage_class IS DISTINCT FROM 'standard' AND storage_rank(storage_class) < storage_rank($3)
    ORDER BY chunk_hash
    FOR NO KEY UPDATE
), cooled AS (
    UPDATE chunk_refs r SET storage_class = $3, restored_until = NULL
    WHERE r.repo_id = $1 AND r.chunk_hash = ANY (ARRAY(SELECT chunk_hash FROM hotter))
    RETURNING 1
)
SELECT count(*)::int FROM cooled;
