-- The references of a repository that is purged.

-- Takes up to p_limit chunks, those after p_after, from a deleted repository, claims included. Returns the last one
-- (NULL = there were none) and how many were taken. What no other repository holds may be deleted after p_grace. In its
-- transaction nothing else is locked.
--
-- Nobody adds references meanwhile: uploads and pushes lock the repository, and find it deleted. Chunks are locked before
-- references, as uploads and sweeps do, and counted by the rows that went: a sweep may have been faster.
CREATE OR REPLACE FUNCTION release_repository_chunks(p_repo_id UUID, p_after TEXT, p_limit BIGINT, p_grace INTERVAL,
                                                     OUT last TEXT, OUT released BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_hashes TEXT[];
    v_released TEXT[];
BEGIN
    PERFORM FROM repository_identities WHERE id = p_repo_id AND deleted_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'repository % is not deleted', p_repo_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    v_hashes := ARRAY(
        SELECT chunk_hash FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash > p_after COLLATE "C"
        ORDER BY chunk_hash
        LIMIT p_limit);
    last := v_hashes[cardinality(v_hashes)];

    PERFORM FROM chunks WHERE hash = ANY (v_hashes) ORDER BY hash FOR NO KEY UPDATE;

    PERFORM FROM chunk_refs
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (v_hashes)
    ORDER BY chunk_hash
    FOR UPDATE;

    WITH gone AS (
        DELETE FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash = ANY (v_hashes)
        RETURNING chunk_hash
    )
    SELECT array_agg(chunk_hash), count(*) INTO v_released, released FROM gone;

    UPDATE chunks
    SET ref_count = ref_count - 1,
        delete_after = CASE WHEN ref_count = 1 THEN clock_timestamp() + p_grace END
    WHERE hash = ANY (v_released);
END;
$$;
