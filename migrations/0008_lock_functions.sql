-- What the lock service does to its tables, as functions, and an index for each of its questions.
--
-- Cures:
--   * the index behind the rule that locks do not overlap took four fifths of the time of granting one;
--   * judging a push read every live lock of the repository, however few paths it changed;
--   * a lock, its history and its event are three rows that must come together: grant_locks(),
--     renew_locks() and end_locks() are the only ones that write them;
--   * a reader of the outbox could not know that events had been thrown away before it came back.

-- -----------------------------------------------------------------------------
-- Indexes
-- -----------------------------------------------------------------------------

-- The same rule as before, in an order that suits GiST: where a new entry goes is decided by the first
-- column, and it decides on a number in a fraction of the time that it takes for a text. Paths that share
-- a number are still told apart, by what follows.
ALTER TABLE locks
    DROP CONSTRAINT locks_no_overlap,
    ADD COLUMN path_key BIGINT
        GENERATED ALWAYS AS (hashtextextended(path, uuid_hash_extended(repo_id, 0))) STORED;
ALTER TABLE locks
    ADD CONSTRAINT locks_no_overlap EXCLUDE USING gist (
        path_key WITH =,
        excl_key WITH <>,
        tstzrange(locked_at, expires_at) WITH &&,
        repo_id WITH =,
        path WITH =
    ) WHERE (lock_type <> 'advisory');

-- Somebody's locks in one repository by path; by owner alone, it does what the old index did.
DROP INDEX idx_locks_owner;
CREATE INDEX idx_locks_owner ON locks (owner_id, repo_id, path);

-- What has expired in one repository; idx_locks_expires finds the repositories.
CREATE INDEX idx_locks_repo_expires ON locks (repo_id, expires_at);

-- The history in its order, which fence and action complete: of a repository, of a path, of a user. A lock
-- begins and ends at most once, and 'acquired' sorts before all that ends it.
DROP INDEX idx_lock_history_repo;
DROP INDEX idx_lock_history_path;
CREATE INDEX idx_lock_history_repo ON lock_history (repo_id, action_at, fence, action);
CREATE INDEX idx_lock_history_path ON lock_history (repo_id, path, action_at, fence, action);
CREATE INDEX idx_lock_history_owner ON lock_history (repo_id, owner_id, action_at, fence, action);

-- -----------------------------------------------------------------------------
-- Locks over paths
-- -----------------------------------------------------------------------------

-- The directory that contains a file or directory: 'a/b/' for 'a/b/c' and 'a/b/c/', '' at the top.
CREATE FUNCTION lock_parent(p_path TEXT)
RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE strpos(rtrim(p_path, '/'), '/') WHEN 0 THEN '' ELSE
        left(rtrim(p_path, '/'), 1 - strpos(reverse(rtrim(p_path, '/')), '/')) END
$$;

-- A directory and all directories above it: 'a/', 'a/b/' and 'a/b/c/' for 'a/b/c/'.
CREATE FUNCTION lock_ancestry(p_directory TEXT)
RETURNS SETOF TEXT
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 5
AS $$
DECLARE
    v_parts TEXT[] := string_to_array(rtrim(p_directory, '/'), '/');
BEGIN
    RETURN QUERY SELECT array_to_string(v_parts[1:n], '/') || '/' FROM generate_series(1, cardinality(v_parts)) n;
END;
$$;

-- The live locks that bear on any of the paths: on the path itself, or on a directory above it. One index
-- lookup per path and per directory above, each directory once; the settings keep the planner from reading
-- all locks instead, which it takes for cheaper when it is asked about many paths.
CREATE OR REPLACE FUNCTION locks_over(p_repo_id UUID, p_paths TEXT[], p_now TIMESTAMPTZ)
RETURNS TABLE (path TEXT, lock_id UUID)
LANGUAGE sql STABLE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
    SELECT asked.path, l.id
    FROM unnest(p_paths) AS asked (path)
    JOIN locks l ON l.repo_id = p_repo_id AND l.path = asked.path
    WHERE l.locked_at <= p_now AND l.expires_at > p_now
    UNION ALL
    SELECT asked.path, l.id
    FROM (SELECT lock_parent(p.path) AS directory, array_agg(p.path) AS paths
          FROM unnest(p_paths) AS p (path) GROUP BY 1) AS inside
    CROSS JOIN lock_ancestry(inside.directory) AS above (path)
    JOIN locks l ON l.repo_id = p_repo_id AND l.path = above.path
    CROSS JOIN unnest(inside.paths) AS asked (path)
    WHERE l.locked_at <= p_now AND l.expires_at > p_now
$$;

-- -----------------------------------------------------------------------------
-- Beginning and end of locks
-- -----------------------------------------------------------------------------
--
-- For one lock, planning takes longer than everything else, and the plan that serves any number of locks
-- is the right one: hence the setting.

-- Emits events about some locks that have a row: one for all that are alike in everything but id, path and
-- fence, as those are that were taken together. p_cause: why it happened, NULL if nobody said.
CREATE FUNCTION announce_locks(p_type TEXT, p_repo_id UUID, p_actor_id UUID, p_lock_ids UUID[], p_cause TEXT)
RETURNS VOID
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM emit_event(p_type, p_repo_id, NULL, p_actor_id,
                       jsonb_strip_nulls(e.alike) || jsonb_build_object('locks', e.locks))
    FROM (
        SELECT jsonb_build_object(
                   'type', l.lock_type, 'owner_id', l.owner_id, 'owner', u.username, 'reason', l.reason,
                   'lock_time', l.locked_at, 'expire_time', l.expires_at, 'base_commit', l.locked_at_commit,
                   'release_on_push', l.release_on_push, 'cause', p_cause) AS alike,
               jsonb_agg(jsonb_build_object('id', l.id, 'path', l.path, 'fence', l.fence)
                         ORDER BY l.path, l.fence) AS locks
        FROM locks l JOIN user_identities u ON u.id = l.owner_id
        WHERE l.id = ANY (p_lock_ids)
        GROUP BY l.lock_type, l.owner_id, u.username, l.reason, l.locked_at, l.expires_at,
                 l.release_on_push, l.locked_at_commit
        ORDER BY min(l.path), min(l.fence)
    ) e;
END;
$$;

-- Ends locks of a repository at p_now, the time that lock_now() gave: the rows go, history and event come.
-- A lock whose time was up before ended then, by itself, whatever p_action says. Returns each with the
-- action that ended it; a lock that is gone is left out.
CREATE FUNCTION end_locks(p_repo_id UUID, p_lock_ids UUID[], p_now TIMESTAMPTZ, p_action TEXT, p_actor_id UUID,
                          p_reason TEXT, p_event TEXT)
RETURNS TABLE (lock_id UUID, action TEXT)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
AS $$
DECLARE
    v_live UUID[];
    v_expired UUID[];
BEGIN
    -- By id, and not by repository, which the planner may take for more selective.
    SELECT array_agg(l.id) FILTER (WHERE l.expires_at > p_now),
           array_agg(l.id) FILTER (WHERE l.expires_at <= p_now)
    INTO v_live, v_expired
    FROM locks l WHERE l.id = ANY (p_lock_ids) AND (l.repo_id = p_repo_id) IS TRUE;

    IF v_expired IS NOT NULL THEN
        PERFORM announce_locks('lock.expired', p_repo_id, NULL, v_expired, NULL);
    END IF;
    IF v_live IS NOT NULL THEN
        PERFORM announce_locks(p_event, p_repo_id, p_actor_id, v_live, p_reason);
    END IF;
    -- The id of an end follows from that of the lock: to draw a random one takes longer than all the rest.
    RETURN QUERY
    WITH gone AS (
        DELETE FROM locks l WHERE l.id = ANY (v_live || v_expired) RETURNING l.*
    )
    INSERT INTO lock_history AS h (id, lock_id, repo_id, path, owner_id, action, action_by, action_at, reason,
                                   fence, lock_type, expires_at)
    SELECT md5(g.id::text)::uuid, g.id, g.repo_id, g.path, g.owner_id,
           CASE WHEN g.expires_at > p_now THEN p_action ELSE 'expired' END,
           CASE WHEN g.expires_at > p_now THEN p_actor_id END,
           least(p_now, g.expires_at),
           CASE WHEN g.expires_at > p_now THEN p_reason END,
           g.fence, g.lock_type, g.expires_at
    FROM gone g
    RETURNING h.lock_id, h.action;
END;
$$;

-- Grants locks on paths that nothing stands in the way of, at p_now, the time that lock_now() gave, and
-- returns them. What had expired on these paths gets its end. A lock that lasts no longer than the warning
-- before its end is not warned about.
CREATE FUNCTION grant_locks(p_repo_id UUID, p_paths TEXT[], p_now TIMESTAMPTZ, p_expires_at TIMESTAMPTZ,
                            p_lock_type TEXT, p_owner_id UUID, p_actor_id UUID, p_reason TEXT,
                            p_base_commit TEXT, p_release_on_push BOOLEAN, p_warning INTERVAL)
RETURNS TABLE (lock_id UUID, path TEXT, fence BIGINT)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
AS $$
DECLARE
    v_expired UUID[] := ARRAY(SELECT l.id FROM locks l WHERE l.repo_id = p_repo_id
                              AND l.path = ANY (p_paths) AND l.expires_at <= p_now);
    -- One random number for all: each costs a system call.
    v_seed TEXT := gen_random_uuid()::text;
    v_ids UUID[] := ARRAY(SELECT md5(v_seed || n)::uuid FROM generate_series(1, cardinality(p_paths)) n);
BEGIN
    IF v_expired <> '{}' THEN
        PERFORM end_locks(p_repo_id, v_expired, p_now, 'expired', NULL, NULL, 'lock.expired');
    END IF;
    RETURN QUERY
    WITH granted AS (
        INSERT INTO locks AS l (id, repo_id, path, owner_id, lock_type, reason, locked_at_commit, locked_at,
                                expires_at, release_on_push, warned_at)
        SELECT asked.id, p_repo_id, asked.path, p_owner_id, p_lock_type, p_reason, p_base_commit, p_now,
               p_expires_at, p_release_on_push, CASE WHEN p_expires_at - p_now <= p_warning THEN p_now END
        FROM unnest(v_ids, p_paths) AS asked (id, path)
        ORDER BY asked.path COLLATE "C"
        RETURNING l.id, l.path, l.fence
    )
    INSERT INTO lock_history AS h (id, lock_id, repo_id, path, owner_id, action, action_by, action_at, reason,
                                   fence, lock_type, expires_at)
    SELECT g.id, g.id, p_repo_id, g.path, p_owner_id, 'acquired', p_actor_id, p_now, p_reason,
           g.fence, p_lock_type, p_expires_at
    FROM granted g
    RETURNING h.lock_id, h.path, h.fence;

    PERFORM announce_locks('lock.acquired', p_repo_id, p_actor_id, v_ids, NULL);
END;
$$;

-- Makes those of the locks (p_lock_ids[i] with p_fences[i]) that p_owner_id still holds last until
-- p_expires_at at least, and returns them. What has ended stays ended.
CREATE FUNCTION renew_locks(p_repo_id UUID, p_owner_id UUID, p_lock_ids UUID[], p_fences BIGINT[],
                            p_now TIMESTAMPTZ, p_expires_at TIMESTAMPTZ, p_warning INTERVAL)
RETURNS SETOF locks
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
AS $$
DECLARE
    v_ids UUID[];
BEGIN
    WITH renewed AS (
        UPDATE locks l
        SET expires_at = greatest(l.expires_at, p_expires_at),
            warned_at = CASE WHEN greatest(l.expires_at, p_expires_at) - p_now <= p_warning THEN p_now END
        FROM unnest(p_lock_ids, p_fences) AS shown (id, fence)
        WHERE l.id = shown.id AND l.fence = shown.fence AND (l.repo_id = p_repo_id) IS TRUE
          AND (l.owner_id = p_owner_id) IS TRUE AND l.expires_at > p_now
        RETURNING l.id
    )
    SELECT array_agg(r.id) INTO v_ids FROM renewed r;

    IF v_ids IS NOT NULL THEN
        PERFORM announce_locks('lock.renewed', p_repo_id, p_owner_id, v_ids, NULL);
    END IF;
    RETURN QUERY SELECT * FROM locks l WHERE l.id = ANY (v_ids);
END;
$$;

-- Marks the locks of a repository that end within p_warning and whose owners do not know yet, at most
-- p_limit of them, and returns them.
CREATE FUNCTION warn_of_locks(p_repo_id UUID, p_now TIMESTAMPTZ, p_warning INTERVAL, p_limit INT)
RETURNS SETOF locks
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
AS $$
DECLARE
    v_ids UUID[] := ARRAY(
        SELECT l.id FROM locks l
        WHERE l.repo_id = p_repo_id AND l.expires_at > p_now AND l.expires_at <= p_now + p_warning
          AND l.warned_at IS NULL
        ORDER BY l.expires_at, l.path LIMIT p_limit);
BEGIN
    IF v_ids <> '{}' THEN
        UPDATE locks SET warned_at = p_now WHERE id = ANY (v_ids);
        PERFORM announce_locks('lock.expiring', p_repo_id, NULL, v_ids, NULL);
    END IF;
    RETURN QUERY SELECT * FROM locks l WHERE l.id = ANY (v_ids);
END;
$$;

-- Ends the locks of p_user_id that were taken until the next push of these paths, and returns them.
-- Pushes take only the shared turn, so the clock is moved on: the next lock begins after this end.
CREATE OR REPLACE FUNCTION release_pushed_locks(p_repo_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TABLE (lock_id UUID, path TEXT, fence BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_hold(p_repo_id);
    v_due UUID[];
BEGIN
    v_due := ARRAY(
        SELECT l.id FROM locks l
        WHERE l.id IN (SELECT o.lock_id FROM locks_over(p_repo_id, p_paths, v_now) o)
          AND l.owner_id = p_user_id AND l.release_on_push
        ORDER BY l.path, l.id
        FOR UPDATE);
    IF v_due = '{}' THEN
        RETURN;
    END IF;
    UPDATE lock_clocks SET high_water = greatest(high_water, v_now) WHERE repo_id = p_repo_id;
    RETURN QUERY
    SELECT l.id, l.path, l.fence FROM locks l WHERE l.id = ANY (v_due) ORDER BY l.path, l.id;
    PERFORM end_locks(p_repo_id, v_due, v_now, 'released', p_user_id, NULL, 'lock.released');
END;
$$;

-- -----------------------------------------------------------------------------
-- The end of the outbox
-- -----------------------------------------------------------------------------

-- Up to where events have been thrown away: a reader who comes back with an older position has missed
-- some. Where the events of a restored dump are emptied, xid and id are set to 0 as well.
CREATE TABLE event_horizon (
    singleton BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    xid XID8 NOT NULL DEFAULT '0',
    id BIGINT NOT NULL DEFAULT 0
);
INSERT INTO event_horizon DEFAULT VALUES;

-- Throws away up to p_limit events, the oldest first, that are older than p_keep and that every background
-- consumer is done with; returns how many.
CREATE FUNCTION purge_events(p_keep INTERVAL, p_limit INT)
RETURNS INT
LANGUAGE plpgsql
AS $$
DECLARE
    v_xid XID8;
    v_id BIGINT;
    v_count INT;
BEGIN
    -- One at a time: the horizon only rises.
    PERFORM FROM event_horizon FOR UPDATE;
    WITH gone AS (
        DELETE FROM events WHERE id IN (
            SELECT e.id FROM settled_events e
            WHERE e.created_at < clock_timestamp() - p_keep
              AND NOT EXISTS (SELECT FROM event_cursors c WHERE (c.xid, c.id) < (e.xid, e.id))
            ORDER BY e.xid, e.id LIMIT p_limit)
        RETURNING xid, id
    ), last AS (
        SELECT g.xid, g.id FROM gone g ORDER BY g.xid DESC, g.id DESC LIMIT 1
    )
    SELECT (SELECT count(*) FROM gone), l.xid, l.id INTO v_count, v_xid, v_id FROM last l;

    UPDATE event_horizon h SET xid = v_xid, id = v_id WHERE (h.xid, h.id) < (v_xid, v_id);
    RETURN coalesce(v_count, 0);
END;
$$;
