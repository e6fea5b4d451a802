-- name: list_chunks
-- What repository $1 knows of those of the hashes ($2, packed) that it has; a claim lasts $3. Nothing of it depends on who
-- else has them.
SELECT decode(r.chunk_hash, 'hex') AS digest, c.size, r.stored_size, coalesce(r.encryption_key_id, '') AS key_id,
       r.claimed_at + $3::interval AS lease_end, c.lost_at IS NOT NULL AS is_lost
FROM chunk_refs r
JOIN chunks c ON c.hash = r.chunk_hash
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g));
