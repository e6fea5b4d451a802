-- The locks of a repository that is purged.

-- Deletes up to p_limit locks and entries of the history of a repository that is deleted, and returns how many.
CREATE OR REPLACE FUNCTION purge_locks(p_repository_id UUID, p_limit BIGINT)
RETURNS BIGINT
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_locks BIGINT;
    v_entries BIGINT;
BEGIN
    PERFORM FROM repository_identities WHERE id = p_repository_id AND deleted_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'repository % is not deleted', p_repository_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM take_lock_mutex(p_repository_id);
    DELETE FROM locks
    WHERE id = ANY (ARRAY(SELECT id FROM locks WHERE repo_id = p_repository_id LIMIT p_limit));
    GET DIAGNOSTICS v_locks = ROW_COUNT;
    DELETE FROM lock_history
    WHERE id = ANY (ARRAY(SELECT id FROM lock_history WHERE repo_id = p_repository_id LIMIT p_limit - v_locks));
    GET DIAGNOSTICS v_entries = ROW_COUNT;
    RETURN v_locks + v_entries;
END;
$$;
