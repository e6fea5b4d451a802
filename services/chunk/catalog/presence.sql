-- What a repository has, for uploads and FindMissingChunks.

-- name: present_chunks
-- The hashes ($2) that repository $1 has, and whether a claim among them is older than half a lease ($3).
-- A chunk without a good copy does not count: it has to be offered again. Hashes are packed, both ways:
-- 10,000 of them as an array of text cost the service 12 ms of CPU time instead of 3, and as rows 19.
SELECT string_agg(decode(r.chunk_hash, 'hex'), ''::bytea) AS hashes,
       coalesce(bool_or(r.claimed_at < clock_timestamp() - $3::interval / 2), FALSE) AS stale
FROM chunk_refs r
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
  AND r.chunk_hash NOT IN (SELECT hash FROM chunks WHERE lost_at IS NOT NULL);

-- name: renew_claims
-- Renews the claims of repository $1 on those of the hashes ($2, with commas) that are older than half a
-- lease ($3). It leaves out a claim that another transaction has locked.
WITH stale AS MATERIALIZED (
    SELECT chunk_hash
    FROM chunk_refs
    WHERE repo_id = $1
      AND chunk_hash = ANY (string_to_array($2, ','))
      AND claimed_at < clock_timestamp() - $3::interval / 2
    ORDER BY chunk_hash
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE chunk_refs r
SET claimed_at = clock_timestamp()
FROM stale
WHERE r.repo_id = $1 AND r.chunk_hash = stale.chunk_hash;

-- name: kept_chunks
-- Those of the hashes ($2, with commas) that repository $1 has and cannot lose within half a lease ($3).
SELECT r.chunk_hash
FROM chunk_refs r
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (string_to_array($2, ','))
  AND (r.claimed_at IS NULL OR r.claimed_at >= clock_timestamp() - $3::interval / 2)
  AND (SELECT c.lost_at IS NULL FROM chunks c WHERE c.hash = r.chunk_hash);
