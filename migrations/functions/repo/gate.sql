-- The gate of a repository. Row locks are not fair: whoever wants the row FOR UPDATE waits for those who have it FOR KEY SHARE, and
-- others may take it so all the time. So both go through an advisory lock before, where who comes later waits behind who waits. It
-- is the first lock of a transaction that passes it: before the row, and whatever may lock that for a foreign key.

-- Waits for who changes the repository, or waits to do so, and keeps others from it until the commit. Returns true; it stands in
-- the condition of a statement that locks the row FOR KEY SHARE.
CREATE OR REPLACE FUNCTION share_repository(p_repo_id UUID)
RETURNS BOOLEAN
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(advisory_key('repository', p_repo_id::TEXT));
    RETURN TRUE;
END;
$$;

-- The same for a statement that locks the row FOR UPDATE: waits for all who share the repository, and keeps others out.
CREATE OR REPLACE FUNCTION close_repository(p_repo_id UUID)
RETURNS BOOLEAN
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(advisory_key('repository', p_repo_id::TEXT));
    RETURN TRUE;
END;
$$;
