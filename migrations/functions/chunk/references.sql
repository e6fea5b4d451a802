-- The references of repositories to chunks, for the repo service. Its transactions call these functions
-- after they have locked the repository row, the manifests and the assets.

-- The gate of a push: adds p_counts[i] references to chunk p_hashes[i] in the repository, or changes nothing and returns
-- in missing the hashes that the repository does not hold. In missized are those whose stored size is not p_sizes[i], the
-- one that a file's chunk list claims, by which the file could not be put together; then the transaction must not be
-- committed. 0 or NULL: nobody claims a size. Hashes are distinct. The caller has locked the repository row, the manifests
-- and the assets before.
--
-- VOLATILE matters: each statement then sees what was committed before it started, so the second one
-- works on the rows that the first one waited for. What is missing is told from the rows that were locked
-- and from nothing else: a claim that appeared since would be counted out of the order of locks. Both statements
-- look references up by their key, and the second one joins them by a hash table: of a planner that believes that there are
-- none, since they were counted when there were none, a nested loop goes through the whole list for each of them. OFFSET 0 keeps
-- the look-up of the size by key, too. A list of chunks (size 0) stays hot: without it, nobody knows what a
-- file consists of.
CREATE OR REPLACE FUNCTION reference_chunks(p_repo_id UUID, p_hashes TEXT[], p_counts INT[], p_sizes INT[],
                                            OUT missing TEXT[], OUT missized TEXT[])
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off' SET enable_nestloop = 'off' SET enable_mergejoin = 'off'
AS $$
DECLARE
    v_locked TEXT[];
    v_rows BIGINT;
BEGIN
    missized := '{}';
    v_locked := ARRAY(
        SELECT chunk_hash FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
        ORDER BY chunk_hash
        FOR NO KEY UPDATE);
    missing := ARRAY(SELECT unnest(p_hashes) EXCEPT SELECT unnest(v_locked) ORDER BY 1);
    IF cardinality(missing) > 0 THEN
        RETURN;
    END IF;

    WITH counted AS (
        UPDATE chunk_refs r
        SET ref_count = r.ref_count + d.n, claimed_at = NULL, last_seen_at = clock_timestamp(),
            storage_class = coalesce(r.storage_class, CASE WHEN d.size = 0 THEN 'standard' END)
        FROM (SELECT w.*, (SELECT c.size FROM chunks c WHERE c.hash = w.hash) AS real_size
              FROM unnest(p_hashes, p_counts, p_sizes) AS w (hash, n, size) OFFSET 0) d
        WHERE r.repo_id = p_repo_id AND r.chunk_hash = ANY (v_locked) AND r.chunk_hash = d.hash
        RETURNING CASE WHEN d.size > 0 AND d.real_size <> d.size THEN d.hash END AS missized
    )
    SELECT count(*), coalesce(array_agg(w.missized ORDER BY w.missized) FILTER (WHERE w.missized IS NOT NULL), '{}')
    INTO v_rows, missized
    FROM counted w;

    IF v_rows <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'counted % of % chunks: hashes must be distinct', v_rows, cardinality(p_hashes)
            USING ERRCODE = 'cardinality_violation';
    END IF;
END;
$$;

-- Which of some chunks a repository does not hold. It locks nothing.
CREATE OR REPLACE FUNCTION find_missing_chunks(p_repo_id UUID, p_hashes TEXT[])
RETURNS TEXT[]
LANGUAGE sql STABLE
AS $$
    SELECT ARRAY(SELECT unnest(p_hashes)
                 EXCEPT SELECT chunk_hash FROM chunk_refs WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
                 ORDER BY 1)
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

-- Releases the chunks of large files, each given by its packed recipe hashes: the collection will read the recipes, and
-- release them and what is in them.
CREATE OR REPLACE FUNCTION release_lists(p_repo_id UUID, p_lists BYTEA[])
RETURNS VOID
LANGUAGE sql VOLATILE
AS $$
    INSERT INTO released_lists (repo_id, recipe_hashes) SELECT p_repo_id, l FROM unnest(p_lists) AS l
$$;

-- What a repository occupies: its referenced chunks (claims are not part of it yet), and their bytes as it sent them.
CREATE OR REPLACE FUNCTION repository_chunk_totals(p_repo_id UUID, OUT chunk_count BIGINT,
                                                   OUT storage_bytes BIGINT)
LANGUAGE sql STABLE
AS $$
    SELECT count(*), coalesce(sum(stored_size), 0) FROM chunk_refs WHERE repo_id = p_repo_id AND ref_count > 0
$$;

-- What repositories occupy: the bytes of their referenced chunks, as each sent them; and the same, each chunk divided by
-- the number of repositories of the same owner that hold it. Whether another owner has a chunk does not show. A
-- repository without chunks has no row.
CREATE OR REPLACE FUNCTION measure_chunks(p_repo_ids UUID[])
RETURNS TABLE (repo_id UUID, stored_bytes BIGINT, apportioned_bytes BIGINT)
LANGUAGE sql STABLE
AS $$
    WITH owned AS (
        SELECT id, owner_type, owner_id FROM repository_identities
        WHERE deleted_at IS NULL
          AND (owner_type, owner_id) IN (SELECT m.owner_type, m.owner_id FROM repository_identities m
                                         WHERE m.id = ANY (p_repo_ids))
    ), held AS (
        SELECT r.repo_id, r.stored_size, r.ref_count,
               count(*) OVER (PARTITION BY o.owner_type, o.owner_id, r.chunk_hash) AS holders
        FROM owned o JOIN chunk_refs r ON r.repo_id = o.id
    )
    SELECT h.repo_id, sum(h.stored_size)::BIGINT, sum(h.stored_size::FLOAT / h.holders)::BIGINT
    FROM held h
    WHERE h.repo_id = ANY (p_repo_ids) AND h.ref_count > 0
    GROUP BY h.repo_id
$$;
