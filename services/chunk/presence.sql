-- What the repository has, as far as uploads and FindMissingChunks want to know.
-- Hashes come packed, 32 bytes each, and are split here: twice as fast as an array of text.

-- name: present
-- The hashes ($2, packed) that repository $1 has, packed, and whether a claim among them is older than
-- half a lease ($3). A chunk without a good copy does not count: it has to be offered again.
SELECT string_agg(decode(r.chunk_hash, 'hex'), ''::bytea) AS hashes,
       coalesce(bool_or(r.claimed_at < clock_timestamp() - $3::interval / 2), FALSE) AS stale
FROM chunk_refs r
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
  AND r.chunk_hash NOT IN (SELECT hash FROM chunks WHERE lost_at IS NOT NULL);

-- name: refresh
-- Renews the claims of repository $1 on the hashes ($2, packed) that are older than half a lease ($3).
-- A claim that somebody else is working on is left to him.
WITH stale AS MATERIALIZED (
    SELECT chunk_hash
    FROM chunk_refs
    WHERE repo_id = $1
      AND chunk_hash = ANY (ARRAY(
          SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
          FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
      AND claimed_at < clock_timestamp() - $3::interval / 2
    ORDER BY chunk_hash
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE chunk_refs r
SET claimed_at = clock_timestamp()
FROM stale
WHERE r.repo_id = $1 AND r.chunk_hash = stale.chunk_hash;

-- name: kept
-- The hashes ($2, packed) that repository $1 has and cannot lose within half a lease ($3), packed.
SELECT string_agg(decode(r.chunk_hash, 'hex'), ''::bytea) AS hashes
FROM chunk_refs r
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
  AND (r.claimed_at IS NULL OR r.claimed_at >= clock_timestamp() - $3::interval / 2)
  AND r.chunk_hash NOT IN (SELECT hash FROM chunks WHERE lost_at IS NOT NULL);
