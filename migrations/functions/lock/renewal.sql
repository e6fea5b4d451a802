-- How locks last longer, and how their holders are warned of the end.

-- Makes those of the locks (p_lock_ids[i] with p_fences[i]) that p_holder_id still holds last until
-- p_expires_at at least, and returns them. What has ended stays ended.
CREATE OR REPLACE FUNCTION renew_locks(p_repository_id UUID, p_holder_id UUID, p_lock_ids UUID[], p_fences BIGINT[],
                                       p_now TIMESTAMPTZ, p_expires_at TIMESTAMPTZ)
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
        WHERE l.repo_id = p_repository_id AND l.owner_id = p_holder_id AND l.fence = shown.fence AND l.expires_at > p_now);
BEGIN
    IF v_ids <> '{}' THEN
        UPDATE locks l
        SET expires_at = greatest(l.expires_at, p_expires_at),
            warned_at = CASE WHEN greatest(l.expires_at, p_expires_at) - p_now <= lock_warning() THEN p_now END
        WHERE l.id = ANY (v_ids);
        PERFORM emit_lock_events('lock.renewed', p_repository_id, p_holder_id, v_ids, NULL);
    END IF;
    RETURN QUERY
    SELECT l.* FROM unnest(v_ids) AS renewed (id)
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = renewed.id OFFSET 0) l;
END;
$$;

-- Marks the locks of a repository whose holders are to be warned, at most p_limit of them, and returns them.
CREATE OR REPLACE FUNCTION mark_warned_locks(p_repository_id UUID, p_now TIMESTAMPTZ, p_limit INT)
RETURNS SETOF locks
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_ids UUID[] := ARRAY(
        SELECT l.id FROM locks l
        WHERE (l.repo_id = p_repository_id) IS TRUE AND l.expires_at > p_now AND l.expires_at <= p_now + lock_warning()
          AND l.warned_at IS NULL
        ORDER BY l.expires_at, l.path LIMIT p_limit);
BEGIN
    IF v_ids <> '{}' THEN
        UPDATE locks SET warned_at = p_now WHERE id = ANY (v_ids);
        PERFORM emit_lock_events('lock.expiring', p_repository_id, NULL, v_ids, NULL);
    END IF;
    RETURN QUERY
    SELECT l.* FROM unnest(v_ids) AS warned (id)
    CROSS JOIN LATERAL (SELECT k.* FROM locks k WHERE k.id = warned.id OFFSET 0) l;
END;
$$;
