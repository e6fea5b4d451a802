-- The turn to change the locks of a repository, the time that belongs to it, and its fences. Who changes locks calls
-- lock_now() first, alone in its statement, and uses the time it returns for everything that follows.
-- Pushes and reads share the turn by lock_hold(): they do not wait for each other, and until they end no
-- lock of the repository is granted, renewed or ended.

-- Waits for its turn to change the locks of a repository, until the end of the transaction, and returns
-- the time, which never runs backwards there: not when the clock does, and not after a failover.
CREATE OR REPLACE FUNCTION lock_now(p_repo_id UUID)
RETURNS TIMESTAMPTZ
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now TIMESTAMPTZ;
BEGIN
    PERFORM pg_advisory_xact_lock(advisory_key('locks', p_repo_id::TEXT));
    INSERT INTO lock_clocks AS c (repo_id, high_water) VALUES (p_repo_id, clock_timestamp())
    ON CONFLICT (repo_id) DO UPDATE SET high_water = greatest(c.high_water, clock_timestamp())
    RETURNING high_water INTO v_now;
    RETURN v_now;
END;
$$;

-- Takes the shared turn and returns the time that counts for it.
CREATE OR REPLACE FUNCTION lock_hold(p_repo_id UUID)
RETURNS TIMESTAMPTZ
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(advisory_key('locks', p_repo_id::TEXT));
    RETURN greatest(clock_timestamp(), (SELECT high_water FROM lock_clocks WHERE repo_id = p_repo_id));
END;
$$;

-- Draws fences for p_count locks in the turn that lock_now() took, and returns the one before the first.
CREATE OR REPLACE FUNCTION draw_fences(p_repo_id UUID, p_count INT)
RETURNS BIGINT
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_fence BIGINT;
BEGIN
    UPDATE lock_clocks SET fence = fence + p_count WHERE repo_id = p_repo_id RETURNING fence INTO STRICT v_fence;
    RETURN v_fence - p_count;
END;
$$;
