-- The mutex of a repository's locks, the time that belongs to it, and the fences. A transaction that changes locks
-- calls take_lock_mutex() first, alone in its statement, and uses the time it returns for everything that
-- follows. Pushes and reads share the mutex by share_lock_mutex(): they do not wait for each other, and until
-- they end no lock of the repository is granted, renewed or ended.

-- Waits for the mutex, holds it until the end of the transaction, and returns the time of the repository,
-- which never runs backwards: not when the clock does, and not after a failover.
CREATE OR REPLACE FUNCTION take_lock_mutex(p_repository_id UUID)
RETURNS TIMESTAMPTZ
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now TIMESTAMPTZ;
BEGIN
    PERFORM pg_advisory_xact_lock(advisory_key('locks', p_repository_id::TEXT));
    INSERT INTO lock_clocks AS c (repo_id, high_water) VALUES (p_repository_id, clock_timestamp())
    ON CONFLICT (repo_id) DO UPDATE SET high_water = greatest(c.high_water, clock_timestamp())
    RETURNING high_water INTO v_now;
    RETURN v_now;
END;
$$;

-- Waits until no change is under way, keeps the locks as they are until the end of the transaction, and
-- returns the time of the repository.
CREATE OR REPLACE FUNCTION share_lock_mutex(p_repository_id UUID)
RETURNS TIMESTAMPTZ
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(advisory_key('locks', p_repository_id::TEXT));
    RETURN greatest(clock_timestamp(), (SELECT high_water FROM lock_clocks WHERE repo_id = p_repository_id));
END;
$$;

-- Draws fences for p_count locks while take_lock_mutex() holds the mutex, and returns the one before the first.
CREATE OR REPLACE FUNCTION draw_fences(p_repository_id UUID, p_count INT)
RETURNS BIGINT
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_fence BIGINT;
BEGIN
    UPDATE lock_clocks SET fence = fence + p_count WHERE repo_id = p_repository_id RETURNING fence INTO STRICT v_fence;
    RETURN v_fence - p_count;
END;
$$;
