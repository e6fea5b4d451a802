-- How locks begin. A lock, its history and its event are three rows that come together: grant_locks(),
-- renew_locks() and end_locks() are the only functions that write them.

-- The locks that a user meets who wants locks of p_lock_type on the paths, at p_now. For each path at most one:
-- the lock of this type that the user holds on it already, else the first that excludes the new one.
-- p_replaced: locks that the new ones replace, which exclude nothing.
CREATE OR REPLACE FUNCTION judge_locks(p_repository_id UUID, p_paths TEXT[], p_user_id UUID, p_lock_type TEXT,
                                       p_now TIMESTAMPTZ, p_replaced UUID[])
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
        FROM locks_over(p_repository_id, p_paths, p_now) over
        CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = over.lock_id OFFSET 0) l
        UNION ALL
        SELECT below.directory, l.*
        FROM locks_below(p_repository_id, ARRAY(SELECT p.path FROM unnest(p_paths) AS p (path) WHERE right(p.path, 1) = '/'),
                         p_user_id, p_lock_type, p_now, p_replaced) below
        CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = below.lock_id OFFSET 0) l
    ), judged AS (
        SELECT n.*, n.path = n.asked AND n.owner_id = p_user_id AND n.lock_type = p_lock_type AS already_held
        FROM near n
    )
    SELECT DISTINCT ON (j.asked) j.asked, j.already_held, j.id, j.path, j.owner_id, u.username, j.lock_type,
           j.reason, j.fence, j.locked_at, j.expires_at, j.release_on_push, j.locked_at_commit
    FROM judged j JOIN user_identities u ON u.id = j.owner_id
    WHERE j.already_held
       OR lock_excludes(j.path, j.owner_id, j.lock_type, j.asked, p_user_id, p_lock_type)
          AND j.id <> ALL (p_replaced)
    ORDER BY j.asked, j.already_held DESC, j.path, j.fence;
END;
$$;

-- Grants locks on paths that judge_locks() found free, at p_now, the time that take_lock_mutex() gave, and
-- returns them. What had expired on these paths gets its end. A lock that lasts no longer than the warning
-- before its end is not warned about.
CREATE OR REPLACE FUNCTION grant_locks(p_repository_id UUID, p_paths TEXT[], p_now TIMESTAMPTZ,
                                       p_expires_at TIMESTAMPTZ, p_actor_id UUID, p_terms lock_terms)
RETURNS TABLE (lock_id UUID, path TEXT, fence BIGINT)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_expired UUID[] := ARRAY(SELECT l.id FROM locks l WHERE l.repo_id = p_repository_id
                              AND l.path = ANY (p_paths) AND l.expires_at <= p_now);
    -- One random number for all: each costs a system call.
    v_seed TEXT := gen_random_uuid()::text;
    v_ids UUID[] := ARRAY(SELECT md5(v_seed || n)::uuid FROM generate_series(1, cardinality(p_paths)) n);
    v_fence BIGINT := draw_fences(p_repository_id, cardinality(p_paths));
BEGIN
    IF v_expired <> '{}' THEN
        PERFORM end_locks(p_repository_id, v_expired, p_now, ROW ('lock.expired', 'expired', NULL, NULL)::lock_end);
    END IF;
    RETURN QUERY
    WITH granted AS (
        INSERT INTO locks AS l (id, repo_id, path, owner_id, lock_type, reason, locked_at_commit, locked_at,
                                expires_at, fence, release_on_push, warned_at)
        SELECT asked.id, p_repository_id, asked.path, p_terms.holder_id, p_terms.lock_type, p_terms.reason,
               p_terms.base_commit, p_now, p_expires_at, v_fence + row_number() OVER (ORDER BY asked.path COLLATE "C"),
               p_terms.release_on_push, CASE WHEN p_expires_at - p_now <= lock_warning() THEN p_now END
        FROM unnest(v_ids, p_paths) AS asked (id, path)
        ORDER BY asked.path COLLATE "C"
        RETURNING l.id, l.path, l.fence
    )
    INSERT INTO lock_history AS h (id, lock_id, repo_id, path, owner_id, action, action_by, action_at, reason,
                                   fence, lock_type, expires_at)
    SELECT g.id, g.id, p_repository_id, g.path, p_terms.holder_id, 'acquired', p_actor_id, p_now, p_terms.reason,
           g.fence, p_terms.lock_type, p_expires_at
    FROM granted g
    RETURNING h.lock_id, h.path, h.fence;

    PERFORM emit_lock_events('lock.acquired', p_repository_id, p_actor_id, v_ids, NULL);
END;
$$;

-- Takes the mutex and grants locks on all paths, if p_terms.holder_id meets no lock on any of them, and returns
-- them; otherwise grants none, and returns one row without a lock. server_time is when this was judged.
CREATE OR REPLACE FUNCTION acquire_locks(p_repository_id UUID, p_paths TEXT[], p_ttl INTERVAL, p_terms lock_terms)
RETURNS TABLE (server_time TIMESTAMPTZ, lock_id UUID, path TEXT, fence BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now TIMESTAMPTZ := take_lock_mutex(p_repository_id);
BEGIN
    PERFORM FROM judge_locks(p_repository_id, p_paths, p_terms.holder_id, p_terms.lock_type, v_now, '{}');
    IF FOUND THEN
        RETURN QUERY SELECT v_now, NULL::UUID, NULL::TEXT, NULL::BIGINT;
    ELSE
        RETURN QUERY
        SELECT v_now, g.lock_id, g.path, g.fence
        FROM grant_locks(p_repository_id, p_paths, v_now, v_now + p_ttl, p_terms.holder_id, p_terms) g;
    END IF;
END;
$$;
