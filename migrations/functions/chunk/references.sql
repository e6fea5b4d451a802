-- The references of repositories to chunks, for the repo service. Its transactions call these functions
-- after they have locked the repository row, the manifests and the assets.

-- The gate of a push: adds p_counts[i] references to chunk p_hashes[i] in the repository and returns an
-- empty array, or changes nothing and returns the hashes that the repository does not hold. Hashes are
-- distinct. The caller has locked the repository row, the manifests and the assets before.
--
-- VOLATILE matters: each statement then sees what was committed before it started, so the second one
-- works on the rows that the first one waited for. What is missing is told from the rows that were locked
-- and from nothing else: a claim that appeared since would be counted out of the order of locks.
CREATE OR REPLACE FUNCTION reference_chunks(p_repo_id UUID, p_hashes TEXT[], p_counts INT[])
RETURNS TEXT[]
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_locked TEXT[];
    v_missing TEXT[];
    v_rows INT;
BEGIN
    v_locked := ARRAY(
        SELECT chunk_hash FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
        ORDER BY chunk_hash
        FOR NO KEY UPDATE);
    v_missing := ARRAY(SELECT unnest(p_hashes) EXCEPT SELECT unnest(v_locked) ORDER BY 1);
    IF cardinality(v_missing) > 0 THEN
        RETURN v_missing;
    END IF;

    UPDATE chunk_refs r
    SET ref_count = r.ref_count + d.n, claimed_at = NULL, last_seen_at = clock_timestamp()
    FROM unnest(p_hashes, p_counts) AS d (hash, n)
    WHERE r.repo_id = p_repo_id AND r.chunk_hash = d.hash;

    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'counted % of % chunks: hashes must be distinct', v_rows, cardinality(p_hashes)
            USING ERRCODE = 'cardinality_violation';
    END IF;
    RETURN '{}';
END;
$$;

-- The way back, when assets go: takes p_counts[i] references from chunk p_hashes[i]. What reaches 0 is a
-- claim again and expires as one. A row that is not there, or has fewer, means that counters drifted: it
-- raises, and the caller's transaction must not be committed.
CREATE OR REPLACE FUNCTION release_chunks(p_repo_id UUID, p_hashes TEXT[], p_counts INT[])
RETURNS VOID
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_rows INT;
BEGIN
    PERFORM FROM chunk_refs
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
    ORDER BY chunk_hash
    FOR NO KEY UPDATE;

    UPDATE chunk_refs r
    SET ref_count = r.ref_count - d.n,
        claimed_at = CASE WHEN r.ref_count = d.n THEN clock_timestamp() END
    FROM unnest(p_hashes, p_counts) AS d (hash, n)
    WHERE r.repo_id = p_repo_id AND r.chunk_hash = d.hash;

    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'released % of % chunks of repository %', v_rows, cardinality(p_hashes), p_repo_id
            USING ERRCODE = 'cardinality_violation';
    END IF;
END;
$$;

-- Those of the chunks whose stored size is not the one that a file's chunk list claims, out of the chunks
-- that this repository holds: a push must not bring a list by which the file cannot be put together.
CREATE OR REPLACE FUNCTION chunks_of_other_size(p_repo_id UUID, p_hashes TEXT[], p_sizes INT[])
RETURNS TEXT[]
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(array_agg(d.hash ORDER BY d.hash), '{}')
    FROM unnest(p_hashes, p_sizes) AS d (hash, size)
    JOIN chunk_refs r ON r.repo_id = p_repo_id AND r.chunk_hash = d.hash
    JOIN chunks c ON c.hash = d.hash
    WHERE c.size <> d.size
$$;

-- What a repository occupies: its referenced chunks (claims are not part of it yet) and their stored bytes.
CREATE OR REPLACE FUNCTION repository_chunk_totals(p_repo_id UUID, OUT chunk_count BIGINT,
                                                   OUT storage_bytes BIGINT)
LANGUAGE sql STABLE
AS $$
    SELECT count(*), coalesce(sum(coalesce(c.compressed_size, c.size)), 0)
    FROM chunk_refs r
    JOIN chunks c ON c.hash = r.chunk_hash
    WHERE r.repo_id = p_repo_id AND r.ref_count > 0
$$;

-- What repositories occupy: the stored bytes of their referenced chunks; and the same, each chunk divided by the
-- number of repositories that hold it. A repository without chunks has no row.
CREATE OR REPLACE FUNCTION measure_chunks(p_repo_ids UUID[])
RETURNS TABLE (repo_id UUID, stored_bytes BIGINT, apportioned_bytes BIGINT)
LANGUAGE sql STABLE
AS $$
    SELECT r.repo_id,
           sum(coalesce(c.compressed_size, c.size))::BIGINT,
           sum(coalesce(c.compressed_size, c.size)::FLOAT / c.ref_count)::BIGINT
    FROM chunk_refs r
    JOIN chunks c ON c.hash = r.chunk_hash
    WHERE r.repo_id = ANY (p_repo_ids) AND r.ref_count > 0
    GROUP BY r.repo_id
$$;
