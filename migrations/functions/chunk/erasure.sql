-- Chunks of contents that are obliterated, for the repo service. Its transaction has locked the repository against pushes
-- and uploads, and the content, before.

-- Takes one reference of the repository from each of some chunks, at most 10,000. What it has for no other content goes at
-- once, and is no claim: nobody reads it any more. What no repository has may be deleted from now on, without grace, and its
-- bytes are to be erased from the packs. Returns the number of the chunks that went, and their bytes. A reference that is not
-- there means that counters drifted: it raises, and the caller's transaction must not be committed.
CREATE OR REPLACE FUNCTION erase_chunks(p_repo_id UUID, p_hashes TEXT[], OUT chunk_count BIGINT, OUT byte_count BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_last TEXT[];
    v_rows BIGINT;
BEGIN
    PERFORM FROM chunks WHERE hash = ANY (p_hashes) ORDER BY hash FOR NO KEY UPDATE;

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

-- Has the chunks of an obliterated large file, given by its packed recipe hashes, erased by a job; so are those of the same
-- list that wait for their release.
CREATE OR REPLACE FUNCTION erase_list(p_repo_id UUID, p_list BYTEA, p_content TEXT)
RETURNS VOID
LANGUAGE sql VOLATILE
AS $$
    UPDATE released_lists SET erased_content = p_content WHERE repo_id = p_repo_id AND recipe_hashes = p_list;
    INSERT INTO released_lists (repo_id, recipe_hashes, erased_content) VALUES (p_repo_id, p_list, p_content)
$$;

-- Says that an obliterated content is to be kept: what was to be erased of it is released instead. The caller has taken new
-- references to all its chunks.
CREATE OR REPLACE FUNCTION end_erasure(p_repo_id UUID, p_content TEXT)
RETURNS VOID
LANGUAGE sql VOLATILE
AS $$
    UPDATE released_lists SET erased_content = NULL WHERE repo_id = p_repo_id AND erased_content = p_content
$$;

-- Whether a job has yet to erase chunks of a content.
CREATE OR REPLACE FUNCTION is_being_erased(p_repo_id UUID, p_content TEXT)
RETURNS BOOLEAN
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM released_lists WHERE repo_id = p_repo_id AND erased_content = p_content)
$$;
