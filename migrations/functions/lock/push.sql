-- What a push asks in its own transaction, while it shares the mutex.

-- How many live locks the repository has, counted up to p_most. The answer stands until the end of the
-- transaction, which shares the mutex; other pushes only end locks.
CREATE OR REPLACE FUNCTION count_locks(p_repository_id UUID, p_most BIGINT)
RETURNS BIGINT
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN (SELECT count(*) FROM (
        SELECT FROM locks WHERE repo_id = p_repository_id AND (expires_at > v_now) IS TRUE LIMIT p_most) live);
END;
$$;

-- The next p_count paths after p_after, in order and sometimes twice, with live locks that forbid p_user_id a
-- change, permit all below a directory, or end when p_user_id pushes. A push that changes more paths than there
-- are locks finds by them which of its paths to ask for.
CREATE OR REPLACE FUNCTION locked_places(p_repository_id UUID, p_user_id UUID, p_question TEXT, p_after TEXT,
                                         p_count BIGINT)
RETURNS TABLE (path TEXT)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
SET enable_sort = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN QUERY
    SELECT l.path FROM locks l
    WHERE l.repo_id = p_repository_id AND l.path > p_after
      AND (l.locked_at <= v_now AND l.expires_at > v_now) IS TRUE
      AND CASE p_question
          WHEN 'forbids' THEN lock_forbids_change(l.owner_id, l.lock_type, p_user_id)
          WHEN 'permits all below' THEN right(l.path, 1) = '/'
                                        AND lock_permits_change(l.owner_id, l.lock_type, p_user_id)
          WHEN 'ends' THEN lock_ends_with_push(l.owner_id, l.release_on_push, p_user_id) END
    ORDER BY l.path
    LIMIT p_count;
END;
$$;

-- The locks that forbid p_user_id to change the paths, in the order of the paths.
CREATE OR REPLACE FUNCTION lock_conflicts(p_repository_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TABLE (path TEXT, lock_id UUID, lock_path TEXT, owner_id UUID, reason TEXT, fence BIGINT,
               locked_at TIMESTAMPTZ, expires_at TIMESTAMPTZ)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN QUERY
    SELECT o.path, l.id, l.path, l.owner_id, l.reason, l.fence, l.locked_at, l.expires_at
    FROM locks_over(p_repository_id, p_paths, v_now) o
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = o.lock_id OFFSET 0) l
    WHERE lock_forbids_change(l.owner_id, l.lock_type, p_user_id)
    ORDER BY o.path COLLATE "C", l.path;
END;
$$;

-- Those of the paths that no lock permits p_user_id to change.
CREATE OR REPLACE FUNCTION locks_missing(p_repository_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TEXT[]
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN ARRAY(
        SELECT asked.path COLLATE "C" FROM unnest(p_paths) AS asked (path)
        EXCEPT
        SELECT o.path
        FROM locks_over(p_repository_id, p_paths, v_now) o
        CROSS JOIN LATERAL (SELECT k.lock_type, k.owner_id FROM locks k WHERE k.id = o.lock_id OFFSET 0) l
        WHERE lock_permits_change(l.owner_id, l.lock_type, p_user_id)
        ORDER BY 1);
END;
$$;

-- Those of the locks (p_lock_ids[i] with p_fences[i]) that p_user_id does not hold any more, or not under
-- that fence.
CREATE OR REPLACE FUNCTION locks_stale(p_repository_id UUID, p_user_id UUID, p_lock_ids UUID[], p_fences BIGINT[])
RETURNS UUID[]
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
BEGIN
    RETURN ARRAY(
        SELECT shown.id
        FROM unnest(p_lock_ids, p_fences) AS shown (id, fence)
        LEFT JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = shown.id OFFSET 0) l ON true
        WHERE (l.fence = shown.fence AND l.repo_id = p_repository_id AND l.owner_id = p_user_id
               AND l.locked_at <= v_now AND l.expires_at > v_now) IS NOT TRUE
        ORDER BY shown.id);
END;
$$;

-- Ends the locks of p_user_id that were taken until the next push of these paths, and returns them.
-- Pushes only share the mutex, so the clock is moved on: the next lock begins after this end.
CREATE OR REPLACE FUNCTION release_pushed_locks(p_repository_id UUID, p_user_id UUID, p_paths TEXT[])
RETURNS TABLE (lock_id UUID, path TEXT, fence BIGINT)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_now TIMESTAMPTZ := share_lock_mutex(p_repository_id);
    v_due UUID[];
BEGIN
    v_due := ARRAY(
        SELECT due.id
        FROM (SELECT DISTINCT l.path, l.id
              FROM locks_over(p_repository_id, p_paths, v_now) o
              CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = o.lock_id OFFSET 0) l
              WHERE lock_ends_with_push(l.owner_id, l.release_on_push, p_user_id)
              ORDER BY l.path, l.id) due
        -- Another push may have been faster.
        CROSS JOIN LATERAL (SELECT FROM locks k WHERE k.id = due.id FOR UPDATE) locked);
    IF v_due = '{}' THEN
        RETURN;
    END IF;
    UPDATE lock_clocks SET high_water = greatest(high_water, v_now) WHERE repo_id = p_repository_id;
    RETURN QUERY
    SELECT l.id, l.path, l.fence FROM unnest(v_due) AS due (id)
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = due.id OFFSET 0) l
    ORDER BY l.path, l.id;
    PERFORM end_locks(p_repository_id, v_due, v_now, ROW ('lock.released', 'released', p_user_id, NULL)::lock_end);
END;
$$;
