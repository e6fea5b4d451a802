-- Taking and releasing locks, each in one statement, which is a transaction of its own.
--
-- Cures:
--   * the turn of a repository was held over four round trips: where everybody worked in one repository,
--     that, and not the database, was the limit;
--   * where statistics were missing or old (all locks of yesterday are gone), or a plan was kept from a
--     time with few locks, most questions read all locks of the repository, once per path at worst.
--
-- So every function says how it is to be executed: LATERAL (... OFFSET 0) is looked up row by row, in the
-- order written, whatever the planner believes; there is no other way to join, and a table is read through
-- an index. `(...) IS TRUE` is no condition for an index.

-- Of the indexes on locks, only that on (repo_id, path) begins with repo_id. What has expired is found by
-- the time.
DROP INDEX idx_locks_repo_expires;

ALTER FUNCTION end_locks SET enable_seqscan = 'off';
ALTER FUNCTION grant_locks SET enable_seqscan = 'off';

-- Emits events about some locks that have a row: one for all that are alike in everything but id, path and
-- fence, as those are that were taken together. p_cause: why it happened, NULL if nobody said.
CREATE OR REPLACE FUNCTION announce_locks(p_type TEXT, p_repo_id UUID, p_actor_id UUID, p_lock_ids UUID[], p_cause TEXT)
RETURNS VOID
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
BEGIN
    PERFORM emit_event(p_type, p_repo_id, NULL, p_actor_id,
                       jsonb_strip_nulls(e.alike) || jsonb_build_object('locks', e.locks))
    FROM (
        SELECT jsonb_build_object(
                   'type', l.lock_type, 'owner_id', l.owner_id, 'owner', u.username, 'reason', l.reason,
                   'lock_time', l.locked_at, 'expire_time', l.expires_at, 'base_commit', l.locked_at_commit,
                   'release_on_push', l.release_on_push, 'cause', p_cause) AS alike,
               l.locks
        FROM (
            SELECT k.lock_type, k.owner_id, k.reason, k.locked_at, k.expires_at, k.release_on_push, k.locked_at_commit,
                   jsonb_agg(jsonb_build_object('id', k.id, 'path', k.path, 'fence', k.fence)
                             ORDER BY k.path, k.fence) AS locks,
                   min(k.path) AS first_path, min(k.fence) AS first_fence
            FROM unnest(p_lock_ids) AS named (id)
            CROSS JOIN LATERAL (SELECT * FROM locks WHERE locks.id = named.id OFFSET 0) k
            GROUP BY k.lock_type, k.owner_id, k.reason, k.locked_at, k.expires_at, k.release_on_push, k.locked_at_commit
        ) l
        CROSS JOIN LATERAL (SELECT username FROM user_identities WHERE user_identities.id = l.owner_id OFFSET 0) u
        ORDER BY l.first_path, l.first_fence
    ) e;
END;
$$;

-- The live locks that bear on any of the paths: on the path itself, or on a directory above it. One index
-- lookup per path and per directory above, each directory once.
CREATE OR REPLACE FUNCTION locks_over(p_repo_id UUID, p_paths TEXT[], p_now TIMESTAMPTZ)
RETURNS TABLE (path TEXT, lock_id UUID)
LANGUAGE sql STABLE ROWS 10
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
SET enable_hashjoin = 'off'
SET enable_mergejoin = 'off'
AS $$
    SELECT asked.path, l.id
    FROM unnest(p_paths) AS asked (path)
    CROSS JOIN LATERAL (
        SELECT k.id FROM locks k
        WHERE k.repo_id = p_repo_id AND k.path = asked.path
          AND (k.locked_at <= p_now AND k.expires_at > p_now) IS TRUE OFFSET 0) l
    UNION ALL
    SELECT asked.path, l.id
    FROM (SELECT lock_parent(p.path) AS directory, array_agg(p.path) AS paths
          FROM unnest(p_paths) AS p (path) GROUP BY 1) AS inside
    CROSS JOIN LATERAL (SELECT a.path FROM lock_ancestry(inside.directory) AS a (path) OFFSET 0) above
    CROSS JOIN LATERAL (
        SELECT k.id FROM locks k
        WHERE k.repo_id = p_repo_id AND k.path = above.path
          AND (k.locked_at <= p_now AND k.expires_at > p_now) IS TRUE OFFSET 0) l
    CROSS JOIN LATERAL unnest(inside.paths) AS asked (path)
$$;

-- Other people's exclusive locks on what p_user_id is about to change, in the order of the paths.
CREATE OR REPLACE FUNCTION lock_conflicts(p_repo_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TABLE (path TEXT, lock_id UUID, lock_path TEXT, owner_id UUID, reason TEXT, fence BIGINT,
               locked_at TIMESTAMPTZ, expires_at TIMESTAMPTZ)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_hold(p_repo_id);
BEGIN
    RETURN QUERY
    SELECT o.path, l.id, l.path, l.owner_id, l.reason, l.fence, l.locked_at, l.expires_at
    FROM locks_over(p_repo_id, p_paths, v_now) o
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = o.lock_id OFFSET 0) l
    WHERE l.lock_type = 'exclusive' AND l.owner_id <> p_user_id
    ORDER BY o.path COLLATE "C", l.path;
END;
$$;

-- Those of the paths that p_user_id holds no exclusive lock on.
CREATE OR REPLACE FUNCTION locks_missing(p_repo_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TEXT[]
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_hold(p_repo_id);
BEGIN
    RETURN ARRAY(
        SELECT asked.path COLLATE "C" FROM unnest(p_paths) AS asked (path)
        EXCEPT
        SELECT o.path
        FROM locks_over(p_repo_id, p_paths, v_now) o
        CROSS JOIN LATERAL (SELECT k.lock_type, k.owner_id FROM locks k WHERE k.id = o.lock_id OFFSET 0) l
        WHERE l.lock_type = 'exclusive' AND l.owner_id = p_user_id
        ORDER BY 1);
END;
$$;

-- Those of the locks (p_lock_ids[i] with p_fences[i]) that p_user_id does not hold any more, or not under
-- that fence.
CREATE OR REPLACE FUNCTION locks_stale(p_repo_id UUID, p_user_id UUID, p_lock_ids UUID[], p_fences BIGINT[])
RETURNS UUID[]
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_hold(p_repo_id);
BEGIN
    RETURN ARRAY(
        SELECT shown.id
        FROM unnest(p_lock_ids, p_fences) AS shown (id, fence)
        LEFT JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = shown.id OFFSET 0) l ON true
        WHERE (l.fence = shown.fence AND l.repo_id = p_repo_id AND l.owner_id = p_user_id
               AND l.locked_at <= v_now AND l.expires_at > v_now) IS NOT TRUE
        ORDER BY shown.id);
END;
$$;

-- Makes those of the locks (p_lock_ids[i] with p_fences[i]) that p_owner_id still holds last until
-- p_expires_at at least, and returns them. What has ended stays ended.
CREATE OR REPLACE FUNCTION renew_locks(p_repo_id UUID, p_owner_id UUID, p_lock_ids UUID[], p_fences BIGINT[],
                                       p_now TIMESTAMPTZ, p_expires_at TIMESTAMPTZ, p_warning INTERVAL)
RETURNS SETOF locks
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_ids UUID[] := ARRAY(
        SELECT shown.id
        FROM unnest(p_lock_ids, p_fences) AS shown (id, fence)
        CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = shown.id OFFSET 0) l
        WHERE l.repo_id = p_repo_id AND l.owner_id = p_owner_id AND l.fence = shown.fence AND l.expires_at > p_now);
BEGIN
    IF v_ids <> '{}' THEN
        UPDATE locks l
        SET expires_at = greatest(l.expires_at, p_expires_at),
            warned_at = CASE WHEN greatest(l.expires_at, p_expires_at) - p_now <= p_warning THEN p_now END
        WHERE l.id = ANY (v_ids);
        PERFORM announce_locks('lock.renewed', p_repo_id, p_owner_id, v_ids, NULL);
    END IF;
    RETURN QUERY
    SELECT l.* FROM unnest(v_ids) AS renewed (id)
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = renewed.id OFFSET 0) l;
END;
$$;

-- Ends the locks of p_user_id that were taken until the next push of these paths, and returns them.
-- Pushes take only the shared turn, so the clock is moved on: the next lock begins after this end.
CREATE OR REPLACE FUNCTION release_pushed_locks(p_repo_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TABLE (lock_id UUID, path TEXT, fence BIGINT)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_hold(p_repo_id);
    v_due UUID[];
BEGIN
    v_due := ARRAY(
        SELECT due.id
        FROM (SELECT DISTINCT l.path, l.id
              FROM locks_over(p_repo_id, p_paths, v_now) o
              CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = o.lock_id OFFSET 0) l
              WHERE l.owner_id = p_user_id AND l.release_on_push
              ORDER BY l.path, l.id) due
        -- Another push may have been faster.
        CROSS JOIN LATERAL (SELECT FROM locks k WHERE k.id = due.id FOR UPDATE) locked);
    IF v_due = '{}' THEN
        RETURN;
    END IF;
    UPDATE lock_clocks SET high_water = greatest(high_water, v_now) WHERE repo_id = p_repo_id;
    RETURN QUERY
    SELECT l.id, l.path, l.fence FROM unnest(v_due) AS due (id)
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = due.id OFFSET 0) l
    ORDER BY l.path, l.id;
    PERFORM end_locks(p_repo_id, v_due, v_now, 'released', p_user_id, NULL, 'lock.released');
END;
$$;

-- What bears on the paths for p_owner_id, who wants them in p_lock_type, at p_now. For each path at most
-- one row: the lock on it that the user holds already in this mode, else the first that stands in the
-- way. One's own locks above and below are not in the way, nor are those (p_excepted) whose place shall
-- be taken.
CREATE FUNCTION judge_locks(p_repo_id UUID, p_paths TEXT[], p_owner_id UUID, p_lock_type TEXT, p_now TIMESTAMPTZ,
                            p_excepted UUID[])
RETURNS TABLE (asked TEXT, already_held BOOLEAN, id UUID, path TEXT, owner_id UUID, owner TEXT, lock_type TEXT,
               reason TEXT, fence BIGINT, locked_at TIMESTAMPTZ, expires_at TIMESTAMPTZ,
               release_on_push BOOLEAN, locked_at_commit TEXT)
LANGUAGE plpgsql STABLE ROWS 10
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
SET enable_hashjoin = 'off'
SET enable_mergejoin = 'off'
AS $$
BEGIN
    RETURN QUERY
    WITH near AS (
        SELECT over.path AS asked, l.*
        FROM locks_over(p_repo_id, p_paths, p_now) over
        CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = over.lock_id OFFSET 0) l
        UNION ALL
        SELECT directory.path, l.*
        FROM (SELECT p.path FROM unnest(p_paths) AS p (path) WHERE right(p.path, 1) = '/' OFFSET 0) directory
        CROSS JOIN LATERAL (
            SELECT k.* FROM locks k
            WHERE k.repo_id = p_repo_id AND k.path > directory.path AND k.path < left(directory.path, -1) || '0'
              AND (k.expires_at > p_now AND k.owner_id <> p_owner_id) IS TRUE OFFSET 0) l
    ), judged AS (
        SELECT n.*, n.path = n.asked AND n.owner_id = p_owner_id AND n.lock_type = p_lock_type AS already_held
        FROM near n
        WHERE n.path = n.asked OR n.owner_id <> p_owner_id
    )
    SELECT DISTINCT ON (j.asked) j.asked, j.already_held, j.id, j.path, j.owner_id, u.username, j.lock_type,
           j.reason, j.fence, j.locked_at, j.expires_at, j.release_on_push, j.locked_at_commit
    FROM judged j JOIN user_identities u ON u.id = j.owner_id
    WHERE j.already_held
       OR 'advisory' NOT IN (p_lock_type, j.lock_type) AND 'exclusive' IN (p_lock_type, j.lock_type)
          AND j.id <> ALL (p_excepted)
    ORDER BY j.asked, j.already_held DESC, j.path, j.fence;
END;
$$;

-- Takes the turn and grants locks on all paths, if nothing bears on any of them, and returns them;
-- otherwise grants none, and returns one row without a lock. server_time is when this was judged.
CREATE FUNCTION acquire_locks(p_repo_id UUID, p_paths TEXT[], p_ttl INTERVAL, p_lock_type TEXT, p_owner_id UUID,
                              p_reason TEXT, p_release_on_push BOOLEAN, p_warning INTERVAL)
RETURNS TABLE (server_time TIMESTAMPTZ, lock_id UUID, path TEXT, fence BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_now(p_repo_id);
BEGIN
    PERFORM FROM judge_locks(p_repo_id, p_paths, p_owner_id, p_lock_type, v_now, '{}');
    IF FOUND THEN
        RETURN QUERY SELECT v_now, NULL::UUID, NULL::TEXT, NULL::BIGINT;
    ELSE
        RETURN QUERY
        SELECT v_now, g.lock_id, g.path, g.fence
        FROM grant_locks(p_repo_id, p_paths, v_now, v_now + p_ttl, p_lock_type, p_owner_id, p_owner_id,
                         p_reason, NULL, p_release_on_push, p_warning) g;
    END IF;
END;
$$;

-- Takes the turn and ends those of the locks that p_owner_id holds. The first row has only the time when
-- this was judged; the others are locks that the user holds or held, and whether they were live until then.
CREATE FUNCTION release_locks(p_repo_id UUID, p_owner_id UUID, p_lock_ids UUID[])
RETURNS TABLE (server_time TIMESTAMPTZ, lock_id UUID, released BOOLEAN)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_now(p_repo_id);
    v_there UUID[];
    v_gone UUID[];
BEGIN
    SELECT array_agg(h.lock_id) FILTER (WHERE l.id IS NOT NULL), array_agg(h.lock_id) FILTER (WHERE l.id IS NULL)
    INTO v_there, v_gone
    FROM lock_history h
    LEFT JOIN LATERAL (SELECT k.id FROM locks k WHERE k.id = h.lock_id OFFSET 0) l ON true
    WHERE h.lock_id = ANY (p_lock_ids) AND h.action = 'acquired'
      AND (h.repo_id = p_repo_id) IS TRUE AND (h.owner_id = p_owner_id) IS TRUE;

    RETURN QUERY SELECT v_now, NULL::UUID, NULL::BOOLEAN;
    RETURN QUERY SELECT v_now, g.id, FALSE FROM unnest(v_gone) AS g (id);
    IF v_there IS NOT NULL THEN
        RETURN QUERY
        SELECT v_now, e.lock_id, e.action <> 'expired'
        FROM end_locks(p_repo_id, v_there, v_now, 'released', p_owner_id, NULL, 'lock.released') e;
    END IF;
END;
$$;

-- Marks the locks of a repository that end within p_warning and whose owners do not know yet, at most
-- p_limit of them, and returns them.
CREATE OR REPLACE FUNCTION warn_of_locks(p_repo_id UUID, p_now TIMESTAMPTZ, p_warning INTERVAL, p_limit INT)
RETURNS SETOF locks
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_ids UUID[] := ARRAY(
        SELECT l.id FROM locks l
        WHERE (l.repo_id = p_repo_id) IS TRUE AND l.expires_at > p_now AND l.expires_at <= p_now + p_warning
          AND l.warned_at IS NULL
        ORDER BY l.expires_at, l.path LIMIT p_limit);
BEGIN
    IF v_ids <> '{}' THEN
        UPDATE locks SET warned_at = p_now WHERE id = ANY (v_ids);
        PERFORM announce_locks('lock.expiring', p_repo_id, NULL, v_ids, NULL);
    END IF;
    RETURN QUERY
    SELECT l.* FROM unnest(v_ids) AS warned (id)
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = warned.id OFFSET 0) l;
END;
$$;
