-- name: locate_chunks
-- Where the stored bytes of the hashes ($2, packed) lie that repository $1 has.
SELECT decode(c.hash, 'hex') AS digest, c.size, c.compression, c.storage_bucket, c.storage_key
FROM chunk_refs r
JOIN chunks c ON c.hash = r.chunk_hash
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g));
