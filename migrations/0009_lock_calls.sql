-- Taking and releasing locks, each in one statement, which is a transaction of its own.
--
-- Cures:
--   * the turn of a repository was held over four round trips: where everybody worked in one repository,
--     that, and not the database, was the limit.

-- What bears on the paths for p_owner_id, who wants them in p_lock_type, at p_now. For each path at most
-- one row: the lock on it that the user holds already in this mode, else the first that stands in the
-- way. One's own locks above and below are not in the way, nor are those (p_excepted) whose place shall
-- be taken.
CREATE FUNCTION judge_locks(p_repo_id UUID, p_paths TEXT[], p_owner_id UUID, p_lock_type TEXT, p_now TIMESTAMPTZ,
                            p_excepted UUID[])
RETURNS TABLE (asked TEXT, already_held BOOLEAN, id UUID, path TEXT, owner_id UUID, owner TEXT, lock_type TEXT,
               reason TEXT, fence BIGINT, locked_at TIMESTAMPTZ, expires_at TIMESTAMPTZ,
               release_on_push BOOLEAN, locked_at_commit TEXT)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
BEGIN
    RETURN QUERY
    WITH near AS (
        SELECT over.path AS asked, l.*
        FROM locks_over(p_repo_id, p_paths, p_now) over JOIN locks l ON l.id = over.lock_id
        UNION ALL
        SELECT directory.path, l.*
        FROM unnest(p_paths) AS directory (path)
        JOIN locks l ON l.repo_id = p_repo_id AND l.path > directory.path
                    AND l.path < left(directory.path, -1) || '0'
        WHERE right(directory.path, 1) = '/' AND l.expires_at > p_now AND l.owner_id <> p_owner_id
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
AS $$
DECLARE
    v_now TIMESTAMPTZ := lock_now(p_repo_id);
    v_there UUID[];
    v_gone UUID[];
BEGIN
    -- By id, and not by repository or owner, which the planner may take for more selective.
    SELECT array_agg(h.lock_id) FILTER (WHERE l.id IS NOT NULL), array_agg(h.lock_id) FILTER (WHERE l.id IS NULL)
    INTO v_there, v_gone
    FROM lock_history h LEFT JOIN locks l ON l.id = h.lock_id
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
