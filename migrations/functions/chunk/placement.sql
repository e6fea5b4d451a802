-- Where the chunks of repositories are to lie.

-- Queues copies of some chunks of a repository, in all regions of its policy. The caller holds the locks of the chunks, or has
-- just added their references.
CREATE OR REPLACE FUNCTION queue_copies(p_repo_id UUID, p_hashes TEXT[])
RETURNS VOID
LANGUAGE sql VOLATILE
AS $$
    INSERT INTO due_copies (region, chunk_hash, repo_id, due_at)
    SELECT w.region, h.hash, p_repo_id, clock_timestamp() + make_interval(secs => p.replication_seconds)
    FROM repository_regions p
    CROSS JOIN LATERAL (SELECT DISTINCT region FROM unnest(p.regions) AS region) AS w
    CROSS JOIN (SELECT hash COLLATE "C" AS hash FROM unnest(p_hashes) AS hash) AS h
    WHERE p.repo_id = p_repo_id
    ORDER BY w.region, h.hash
    ON CONFLICT DO NOTHING
$$;

-- Queues copies of some chunks, which the caller has locked, for all repositories that have them and a policy.
CREATE OR REPLACE FUNCTION queue_copies_for_all(p_hashes TEXT[])
RETURNS VOID
LANGUAGE sql VOLATILE
AS $$
    INSERT INTO due_copies (region, chunk_hash, repo_id, due_at)
    SELECT DISTINCT w.region, r.chunk_hash, r.repo_id, clock_timestamp()
    FROM chunk_refs r
    JOIN repository_regions p ON p.repo_id = r.repo_id
    CROSS JOIN LATERAL unnest(p.regions) AS w (region)
    WHERE r.chunk_hash = ANY (p_hashes)
    ORDER BY w.region, r.chunk_hash, r.repo_id
    ON CONFLICT DO NOTHING
$$;

-- How many chunks of a repository wait for copies in some regions and lie in none of these, up to 10,000.
CREATE OR REPLACE FUNCTION count_chunks_outside(p_repo_id UUID, p_regions TEXT[])
RETURNS INT
LANGUAGE sql STABLE
AS $$
    SELECT count(*)::int
    FROM (SELECT d.chunk_hash FROM due_copies d
          WHERE d.repo_id = p_repo_id AND d.region = ANY (p_regions)
            AND EXISTS (SELECT FROM chunk_refs r WHERE r.repo_id = p_repo_id AND r.chunk_hash = d.chunk_hash)
          GROUP BY d.chunk_hash
          HAVING count(*) = cardinality(p_regions)
          LIMIT 10000) AS outside
$$;

-- Those of some chunks of a repository that are in fewer than p_min_regions regions of its policy. What is queued for a region
-- is not there yet, also if another repository has brought it there: the answer tells nobody of others. It is read once for each
-- region: looked up for each chunk, it was read by the index of the repository, each time all that waits.
CREATE OR REPLACE FUNCTION chunks_below_regions(p_repo_id UUID, p_hashes TEXT[], p_min_regions INT)
RETURNS TABLE (chunk_hash TEXT)
LANGUAGE sql STABLE
AS $$
    SELECT h.hash FROM unnest(p_hashes) AS h (hash) WHERE p_min_regions > 0
    EXCEPT
    SELECT there.hash
    FROM repository_regions p CROSS JOIN LATERAL unnest(p.regions) AS w (region)
    CROSS JOIN LATERAL (
        SELECT h.hash FROM unnest(p_hashes) AS h (hash)
        WHERE EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = h.hash AND l.region = w.region OFFSET 0)
           OR EXISTS (SELECT FROM chunks c WHERE c.hash = h.hash AND split_part(c.storage_bucket, '.', 1) = w.region OFFSET 0)
        EXCEPT
        SELECT d.chunk_hash FROM due_copies d
        WHERE d.region = w.region AND d.repo_id = p_repo_id AND d.chunk_hash = ANY (p_hashes)) AS there
    WHERE p.repo_id = p_repo_id
    GROUP BY there.hash
    HAVING count(*) >= p_min_regions
$$;
