-- name: locate_chunks
-- Where the stored bytes of the hashes ($2, packed) lie that repository $1 has, and whether it has to restore them
-- first: that is its own, wherever they lie.
SELECT decode(c.hash, 'hex') AS digest, c.size, c.compression, c.storage_bucket, c.storage_key,
       coalesce(r.encryption_key_id, '') AS key_id,
       r.storage_class IN ('glacier', 'deep_archive') AND coalesce(r.restored_until <= clock_timestamp(), TRUE) AS is_archived
FROM chunk_refs r
JOIN chunks c ON c.hash = r.chunk_hash
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g));

-- name: locate_near
-- The same, and of those that have a copy in region $3, where that lies.
SELECT decode(c.hash, 'hex') AS digest, c.size, c.compression, coalesce(l.bucket, c.storage_bucket) AS bucket,
       coalesce(l.storage_key, c.storage_key) AS storage_key,
       coalesce(r.encryption_key_id, '') AS key_id,
       r.storage_class IN ('glacier', 'deep_archive') AND coalesce(r.restored_until <= clock_timestamp(), TRUE) AS is_archived
FROM chunk_refs r
JOIN chunks c ON c.hash = r.chunk_hash
LEFT JOIN chunk_locations l ON l.chunk_hash = c.hash AND l.region = $3
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g));

-- name: locate_copies
-- The same, in all regions, the home copies first.
SELECT decode(c.hash, 'hex') AS digest, c.size, c.compression, place.bucket, place.storage_key,
       coalesce(r.encryption_key_id, '') AS key_id,
       r.storage_class IN ('glacier', 'deep_archive') AND coalesce(r.restored_until <= clock_timestamp(), TRUE) AS is_archived
FROM chunk_refs r
JOIN chunks c ON c.hash = r.chunk_hash
CROSS JOIN LATERAL (SELECT c.storage_bucket AS bucket, c.storage_key, TRUE AS is_home
                    UNION ALL
                    SELECT l.bucket, l.storage_key, FALSE FROM chunk_locations l WHERE l.chunk_hash = c.hash) AS place
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
ORDER BY place.is_home DESC;
