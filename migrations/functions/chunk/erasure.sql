-- Chunks of contents that are obliterated, for the repo service. Its transaction has locked the repository against pushes
-- and uploads, and the content, before. Chunks come before references in the order of locks, so it locks all chunks of the
-- content first, batch by batch in the order of their hashes, and then takes them away.

CREATE OR REPLACE FUNCTION lock_chunks(p_hashes TEXT[])
RETURNS VOID
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM FROM chunks WHERE hash = ANY (p_hashes) ORDER BY hash FOR NO KEY UPDATE;
END;
$$;

-- Takes the lists of a large file, given by its packed recipe hashes, that wait for the collection to release them; returns
-- how many there were. The caller has locked the chunks of the file, and takes from each as many references.
CREATE OR REPLACE FUNCTION take_released_lists(p_repo_id UUID, p_list BYTEA)
RETURNS INT
LANGUAGE sql VOLATILE
AS $$
    WITH taken AS (
        DELETE FROM released_lists WHERE repo_id = p_repo_id AND recipe_hashes = p_list RETURNING id
    )
    SELECT count(*)::int FROM taken
$$;

-- Takes one reference of the repository from each of some chunks. What it has for no other content goes at once, and is no
-- claim: nobody reads it any more. What no repository has may be deleted from now on, without grace, and its bytes are to be
-- erased from the packs. Returns the number of the chunks that went, and their bytes. A reference that is not there means
-- that counters drifted: it raises, and the caller's transaction must not be committed.
CREATE OR REPLACE FUNCTION erase_chunks(p_repo_id UUID, p_hashes TEXT[], OUT chunk_count BIGINT, OUT byte_count BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_last TEXT[];
    v_rows BIGINT;
BEGIN
    PERFORM FROM chunk_refs
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
    ORDER BY chunk_hash
    FOR UPDATE;

    v_last := ARRAY(
        SELECT chunk_hash FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes) AND ref_count = 1
        ORDER BY chunk_hash);
    chunk_count := cardinality(v_last);
    byte_count := coalesce((SELECT sum(size) FROM chunks WHERE hash = ANY (v_last)), 0);

    UPDATE chunk_refs SET ref_count = ref_count - 1
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes) AND ref_count > 1;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows + chunk_count <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'released % of % chunks of repository %', v_rows + chunk_count, cardinality(p_hashes), p_repo_id
            USING ERRCODE = 'cardinality_violation';
    END IF;

    DELETE FROM chunk_refs WHERE repo_id = p_repo_id AND chunk_hash = ANY (v_last);
    UPDATE repository_storage SET erasures = erasures + 1 WHERE repo_id = p_repo_id;
    UPDATE chunks
    SET ref_count = ref_count - 1, delete_after = CASE WHEN ref_count = 1 THEN clock_timestamp() END
    WHERE hash = ANY (v_last);
    INSERT INTO chunk_erasures (chunk_hash) SELECT unnest(v_last) ON CONFLICT (chunk_hash) DO NOTHING;
END;
$$;
