-- File locks.
--
-- Cures:
--   * one row per path forbade two shared locks, and an expired row kept the next owner out;
--   * a holder whose lock had passed to somebody else could not be told apart: locks have fences;
--   * times came from now(), the start of a transaction that may have waited long for its turn;
--   * the history could end a lock twice, and did not say what kind of lock it was;
--   * a path of more than 2.7 KB failed in the index: it ends at 1,024 bytes.
--
-- Whoever changes the locks of a repository calls lock_now() first, alone in its statement, and uses the
-- time it returns for everything that follows.

-- -----------------------------------------------------------------------------
-- Locks
-- -----------------------------------------------------------------------------

CREATE SEQUENCE lock_fence_seq AS BIGINT;

-- fence: rises with every lock granted in a repository; a writer shows it to prove that it still holds.
-- excl_key: what makes two locks incompatible is that it differs, so shared locks (0) agree with each
-- other, and an exclusive one (its fence) with nothing.
-- locked_at has no default: only lock_now() knows the time.
ALTER TABLE locks
    DROP CONSTRAINT locks_repo_id_path_key,
    ALTER COLUMN path TYPE TEXT COLLATE "C",
    ALTER COLUMN locked_at DROP DEFAULT,
    ADD COLUMN fence BIGINT NOT NULL DEFAULT nextval('lock_fence_seq'),
    ADD COLUMN release_on_push BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN warned_at TIMESTAMPTZ,
    ADD COLUMN excl_key BIGINT
        GENERATED ALWAYS AS (CASE lock_type WHEN 'exclusive' THEN fence ELSE 0 END) STORED,
    ADD CONSTRAINT locks_path_check CHECK (octet_length(path) BETWEEN 1 AND 1024),
    ADD CONSTRAINT locks_expires_at_check CHECK (expires_at > locked_at);
ALTER SEQUENCE lock_fence_seq OWNED BY locks.fence;

COMMENT ON COLUMN locks.warned_at IS 'when the owner was told that the lock is about to expire';

-- Incompatible locks never overlap in time. A lock that has expired does not stand in the way, swept or
-- not. Advisory locks are for showing and conflict with nothing.
ALTER TABLE locks
    ADD CONSTRAINT locks_no_overlap EXCLUDE USING gist (
        repo_id WITH =,
        path WITH =,
        tstzrange(locked_at, expires_at) WITH &&,
        excl_key WITH <>
    ) WHERE (lock_type <> 'advisory');

-- In byte order, so it serves prefixes: everything below `dir/` is path >= 'dir/' AND path < 'dir0'.
CREATE INDEX idx_locks_path ON locks (repo_id, path);

-- The latest time that lock_now() has given out per repository.
CREATE TABLE lock_clocks (
    repo_id UUID PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    high_water TIMESTAMPTZ NOT NULL
);

-- Waits for its turn to change the locks of a repository, until the end of the transaction, and returns
-- the time, which never runs backwards there: not when the clock does, and not after a failover.
CREATE FUNCTION lock_now(p_repo_id UUID)
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

-- -----------------------------------------------------------------------------
-- History
-- -----------------------------------------------------------------------------

-- No reference to repositories: what happened stays known when they are gone. Each lock begins once and
-- ends once, whoever notices its end first.
ALTER TABLE lock_history
    ALTER COLUMN path TYPE TEXT COLLATE "C",
    ALTER COLUMN action_at DROP DEFAULT,
    ADD COLUMN fence BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN lock_type TEXT NOT NULL DEFAULT 'exclusive'
        CHECK (lock_type IN ('exclusive', 'advisory', 'shared')),
    ADD COLUMN expires_at TIMESTAMPTZ,
    ADD CONSTRAINT lock_history_path_check CHECK (octet_length(path) BETWEEN 1 AND 1024);
ALTER TABLE lock_history
    ALTER COLUMN fence DROP DEFAULT,
    ALTER COLUMN lock_type DROP DEFAULT;

CREATE UNIQUE INDEX lock_history_one_start ON lock_history (lock_id) WHERE action = 'acquired';
CREATE UNIQUE INDEX lock_history_one_end ON lock_history (lock_id) WHERE action <> 'acquired';

-- -----------------------------------------------------------------------------
-- Published for the other services
-- -----------------------------------------------------------------------------
--
-- What a push asks, in its own transaction. Pushes share the turn that lock_now() takes for itself: they
-- do not wait for each other, and until they end no lock of the repository is granted, renewed or taken
-- away behind the answers. The lock on a directory, `dir/`, holds for everything below it.

-- Takes the shared turn and returns the time that counts for it.
CREATE FUNCTION lock_hold(p_repo_id UUID)
RETURNS TIMESTAMPTZ
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(advisory_key('locks', p_repo_id::TEXT));
    RETURN greatest(clock_timestamp(), (SELECT high_water FROM lock_clocks WHERE repo_id = p_repo_id));
END;
$$;

-- The live locks that bear on any of the paths: on the path itself, or on a directory above it.
CREATE FUNCTION locks_over(p_repo_id UUID, p_paths TEXT[], p_now TIMESTAMPTZ)
RETURNS TABLE (path TEXT, lock_id UUID)
LANGUAGE sql STABLE
AS $$
    WITH live AS MATERIALIZED (
        SELECT l.id, l.path FROM locks l
        WHERE l.repo_id = p_repo_id AND l.locked_at <= p_now AND l.expires_at > p_now
    )
    SELECT asked.path, live.id FROM unnest(p_paths) AS asked (path) JOIN live ON live.path = asked.path
    UNION ALL
    SELECT asked.path, live.id FROM live JOIN unnest(p_paths) AS asked (path)
        ON starts_with(asked.path, live.path) AND asked.path <> live.path
    WHERE right(live.path, 1) = '/'
$$;

-- Exclusive locks of other people on what p_user_id is about to change, in the order of the paths.
CREATE FUNCTION lock_conflicts(p_repo_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TABLE (path TEXT, lock_id UUID, lock_path TEXT, owner_id UUID, reason TEXT, fence BIGINT,
               locked_at TIMESTAMPTZ, expires_at TIMESTAMPTZ)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_hold(p_repo_id);
BEGIN
    RETURN QUERY
    SELECT o.path, l.id, l.path, l.owner_id, l.reason, l.fence, l.locked_at, l.expires_at
    FROM locks_over(p_repo_id, p_paths, v_now) o
    JOIN locks l ON l.id = o.lock_id
    WHERE l.lock_type = 'exclusive' AND l.owner_id <> p_user_id
    ORDER BY o.path COLLATE "C", l.path;
END;
$$;

-- Those of the paths that p_user_id holds no exclusive lock on.
CREATE FUNCTION locks_missing(p_repo_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TEXT[]
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_hold(p_repo_id);
BEGIN
    RETURN ARRAY(
        SELECT asked.path COLLATE "C" FROM unnest(p_paths) AS asked (path)
        EXCEPT
        SELECT o.path
        FROM locks_over(p_repo_id, p_paths, v_now) o
        JOIN locks l ON l.id = o.lock_id
        WHERE l.lock_type = 'exclusive' AND l.owner_id = p_user_id
        ORDER BY 1);
END;
$$;

-- Those of the locks (p_lock_ids[i] with p_fences[i]) that p_user_id does not hold any more, or not under
-- that fence.
CREATE FUNCTION locks_stale(p_repo_id UUID, p_user_id UUID, p_lock_ids UUID[], p_fences BIGINT[])
RETURNS UUID[]
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_hold(p_repo_id);
BEGIN
    RETURN ARRAY(
        SELECT shown.id
        FROM unnest(p_lock_ids, p_fences) AS shown (id, fence)
        WHERE NOT EXISTS (
            SELECT FROM locks l
            WHERE l.id = shown.id AND l.fence = shown.fence AND l.repo_id = p_repo_id
              AND l.owner_id = p_user_id AND l.locked_at <= v_now AND l.expires_at > v_now)
        ORDER BY shown.id);
END;
$$;

-- Ends the locks of p_user_id that were taken until the next push of these paths, writes their history,
-- and returns them, for the caller to announce. The clock is moved on, so that the next lock on the path
-- begins after this end.
CREATE FUNCTION release_pushed_locks(p_repo_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TABLE (lock_id UUID, path TEXT, fence BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_hold(p_repo_id);
BEGIN
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT l.id FROM locks l
        WHERE l.id IN (SELECT o.lock_id FROM locks_over(p_repo_id, p_paths, v_now) o)
          AND l.owner_id = p_user_id AND l.release_on_push
        ORDER BY l.path, l.id
        FOR UPDATE
    ), gone AS (
        DELETE FROM locks l USING due WHERE l.id = due.id RETURNING l.*
    ), noted AS (
        INSERT INTO lock_history (lock_id, repo_id, path, owner_id, action, action_by, action_at,
                                  fence, lock_type, expires_at)
        SELECT g.id, g.repo_id, g.path, g.owner_id, 'released', p_user_id, v_now,
               g.fence, g.lock_type, g.expires_at
        FROM gone g
    )
    SELECT g.id, g.path, g.fence FROM gone g ORDER BY g.path, g.id;

    IF FOUND THEN
        UPDATE lock_clocks SET high_water = greatest(high_water, v_now) WHERE repo_id = p_repo_id;
    END IF;
END;
$$;
