-- How locks end.

-- Ends locks of a repository at p_now, the time that take_lock_mutex() gave: the rows go, history and event come.
-- A lock that had expired before ended then, by itself, whatever p_end says. Returns each with the action
-- that ended it; a lock that is gone is left out.
CREATE OR REPLACE FUNCTION end_locks(p_repository_id UUID, p_lock_ids UUID[], p_now TIMESTAMPTZ, p_end lock_end)
RETURNS TABLE (lock_id UUID, action TEXT)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_live UUID[];
    v_expired UUID[];
BEGIN
    -- By id, and not by repository, which the planner may take for more selective.
    SELECT array_agg(l.id) FILTER (WHERE l.expires_at > p_now),
           array_agg(l.id) FILTER (WHERE l.expires_at <= p_now)
    INTO v_live, v_expired
    FROM locks l WHERE l.id = ANY (p_lock_ids) AND (l.repo_id = p_repository_id) IS TRUE;

    IF v_expired IS NOT NULL THEN
        PERFORM emit_lock_events('lock.expired', p_repository_id, NULL, v_expired, NULL);
    END IF;
    IF v_live IS NOT NULL THEN
        PERFORM emit_lock_events(p_end.event, p_repository_id, p_end.actor_id, v_live, p_end.reason);
    END IF;
    -- The id of an end follows from that of the lock: to draw a random one takes longer than all the rest.
    RETURN QUERY
    WITH gone AS (
        DELETE FROM locks l WHERE l.id = ANY (v_live || v_expired) RETURNING l.*
    )
    INSERT INTO lock_history AS h (id, lock_id, repo_id, path, owner_id, action, action_by, action_at, reason,
                                   fence, lock_type, expires_at)
    SELECT md5(g.id::text)::uuid, g.id, g.repo_id, g.path, g.owner_id,
           CASE WHEN g.expires_at > p_now THEN p_end.action ELSE 'expired' END,
           CASE WHEN g.expires_at > p_now THEN p_end.actor_id END,
           least(p_now, g.expires_at),
           CASE WHEN g.expires_at > p_now THEN p_end.reason END,
           g.fence, g.lock_type, g.expires_at
    FROM gone g
    RETURNING h.lock_id, h.action;
END;
$$;

-- Takes the mutex and ends those of the locks that p_holder_id holds. The first row has only the time when
-- this was judged; the others are locks that the user holds or held, and whether they were live until then.
-- Who has held none of them takes no mutex: whoever may read the repository may ask.
CREATE OR REPLACE FUNCTION release_locks(p_repository_id UUID, p_holder_id UUID, p_lock_ids UUID[])
RETURNS TABLE (server_time TIMESTAMPTZ, lock_id UUID, released BOOLEAN)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_held UUID[] := ARRAY(
        SELECT h.lock_id FROM lock_history h
        WHERE h.lock_id = ANY (p_lock_ids) AND h.action = 'acquired'
          AND (h.repo_id = p_repository_id) IS TRUE AND (h.owner_id = p_holder_id) IS TRUE
    );
    v_now TIMESTAMPTZ;
    v_there UUID[];
    v_gone UUID[];
BEGIN
    IF cardinality(v_held) = 0 THEN
        RETURN QUERY SELECT greatest(clock_timestamp(), max(c.high_water)), NULL::UUID, NULL::BOOLEAN
                     FROM lock_clocks c WHERE c.repo_id = p_repository_id;
        RETURN;
    END IF;
    v_now := take_lock_mutex(p_repository_id);
    SELECT array_agg(h.id) FILTER (WHERE l.id IS NOT NULL), array_agg(h.id) FILTER (WHERE l.id IS NULL)
    INTO v_there, v_gone
    FROM unnest(v_held) AS h (id)
    LEFT JOIN LATERAL (SELECT k.id FROM locks k WHERE k.id = h.id OFFSET 0) l ON true;

    RETURN QUERY SELECT v_now, NULL::UUID, NULL::BOOLEAN;
    RETURN QUERY SELECT v_now, g.id, FALSE FROM unnest(v_gone) AS g (id);
    IF v_there IS NOT NULL THEN
        RETURN QUERY
        SELECT v_now, e.lock_id, e.action <> 'expired'
        FROM end_locks(p_repository_id, v_there, v_now,
                       ROW ('lock.released', 'released', p_holder_id, NULL)::lock_end) e;
    END IF;
END;
$$;
