-- name: list_regions
-- The regions, whether repository $1 (NULL = none) wants its chunks there, and how many of them are queued, up to 100,000.
SELECT s.region AS name,
       EXISTS (SELECT FROM repository_regions p WHERE p.repo_id = $1 AND s.region = ANY (p.regions)) AS is_wanted,
       (SELECT count(*)::int FROM (SELECT FROM due_copies d WHERE d.repo_id = $1 AND d.region = s.region LIMIT 100000) AS due)
           AS waiting
FROM store_regions s
ORDER BY s.region;

-- name: list_placed
-- For each region where repository $1 wants its chunks, those of the hashes ($2, packed) that it holds and that are there,
-- packed. What is queued is not there yet, whoever else has brought it: it is read once for each region, by any index.
WITH asked AS MATERIALIZED (
    SELECT ARRAY(SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
                 FROM generate_series(0, length($2::bytea) / 32 - 1) AS g) AS hashes
)
SELECT w.region,
       (SELECT coalesce(string_agg(decode(there.chunk_hash, 'hex'), ''::bytea), '')
        FROM (SELECT r.chunk_hash FROM chunk_refs r
              WHERE r.repo_id = $1 AND r.chunk_hash = ANY (asked.hashes)
                AND (EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = r.chunk_hash AND l.region = w.region OFFSET 0)
                     OR EXISTS (SELECT FROM chunks c
                                WHERE c.hash = r.chunk_hash AND split_part(c.storage_bucket, '.', 1) = w.region OFFSET 0))
              EXCEPT
              SELECT d.chunk_hash FROM due_copies d
              WHERE d.region = w.region AND d.repo_id = $1 AND d.chunk_hash = ANY (asked.hashes)) AS there) AS hashes
FROM asked CROSS JOIN repository_regions p CROSS JOIN LATERAL unnest(p.regions) AS w (region)
WHERE p.repo_id = $1
ORDER BY w.region;
