-- What a repository has, for uploads and FindMissingChunks.

-- name: presence_state
-- How many chunks repository $1 has, how often chunks were added and erased, and whether there are claims older than half
-- a lease ($2), and chunks without a good copy (of more than 1,000 lost ones of all repositories, it is not looked whose they
-- are). No row: it never had a chunk.
-- Asked with each FindMissingChunks, so the time of a claim is compared with a value that is taken once: with a function that
-- is called for each row all claims of the repository were read. The order leads through the index where there are no statistics.
SELECT s.chunk_count, s.additions, s.erasures,
       EXISTS (SELECT FROM chunk_refs r
               WHERE r.repo_id = $1 AND r.claimed_at < (SELECT clock_timestamp() - $2::interval / 2)) AS has_stale,
       EXISTS (SELECT FROM (SELECT hash FROM chunks WHERE lost_at IS NOT NULL ORDER BY lost_at LIMIT 1001) c
               WHERE EXISTS (SELECT FROM chunk_refs r WHERE r.repo_id = $1 AND r.chunk_hash = c.hash OFFSET 0))
       OR (SELECT count(*) FROM (SELECT FROM chunks WHERE lost_at IS NOT NULL ORDER BY lost_at LIMIT 1001) c) > 1000
           AS has_lost
FROM repository_storage s
WHERE s.repo_id = $1;

-- name: present_chunks
-- The hashes ($2) that repository $1 has, from the index alone. If it has chunks without a good copy ($3), these do not
-- count: they have to be offered again. Each is looked up; to list all that are lost took minutes where they were many. Hashes are packed, both ways: 10,000 of them as an array of text cost the service 12 ms of CPU time
-- instead of 3, and as rows 19.
SELECT string_agg(decode(r.chunk_hash, 'hex'), ''::bytea) AS hashes
FROM chunk_refs r
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (ARRAY(
      SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
      FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
  AND (NOT $3::boolean
       OR NOT EXISTS (SELECT FROM chunks c WHERE c.hash = r.chunk_hash AND c.lost_at IS NOT NULL OFFSET 0));

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
WHERE r.repo_id = $1 AND r.chunk_hash = ANY (ARRAY(SELECT chunk_hash FROM stale));

-- name: kept_chunks
-- Those of the hashes ($2, with commas) that repository $1 has, not encrypted, readable at once, and cannot lose
-- within half a lease ($3).
SELECT r.chunk_hash
FROM chunk_refs r
WHERE r.repo_id = $1
  AND r.chunk_hash = ANY (string_to_array($2, ','))
  AND (r.claimed_at IS NULL OR r.claimed_at >= clock_timestamp() - $3::interval / 2)
  AND r.encryption_key_id IS NULL
  AND coalesce(r.storage_class, '') NOT IN ('glacier', 'deep_archive')
  AND (SELECT c.lost_at IS NULL FROM chunks c WHERE c.hash = r.chunk_hash);
