-- Events about locks. Their payload is the JSON of dits.common.v1.LockPayload.

-- Emits events about some locks that have a row: one for all that differ only in id, path and fence, as
-- locks that were taken together do, but at most 1,000 in one. p_cause: why it happened; may be NULL.
CREATE OR REPLACE FUNCTION emit_lock_events(p_type TEXT, p_repository_id UUID, p_actor_id UUID, p_lock_ids UUID[],
                                          p_cause TEXT)
RETURNS VOID
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
BEGIN
    PERFORM emit_event(p_type, p_repository_id, NULL, p_actor_id,
                       jsonb_strip_nulls(e.alike) || jsonb_build_object('locks', e.locks))
    FROM (
        SELECT jsonb_build_object(
                   'type', 'LOCK_TYPE_' || upper(l.lock_type), 'holder_id', l.owner_id, 'holder', u.username,
                   'reason', l.reason,
                   'lock_time', l.locked_at, 'expire_time', l.expires_at, 'base_commit', l.locked_at_commit,
                   'release_on_push', l.release_on_push, 'cause', p_cause) AS alike,
               l.locks
        FROM (
            SELECT k.lock_type, k.owner_id, k.reason, k.locked_at, k.expires_at, k.release_on_push, k.locked_at_commit,
                   jsonb_agg(jsonb_build_object('lock_id', k.id, 'path', k.path, 'fence', k.fence::text)
                             ORDER BY k.path, k.fence) AS locks,
                   min(k.path) AS first_path, min(k.fence) AS first_fence
            FROM (
                SELECT named.*, (row_number() OVER (
                           PARTITION BY named.lock_type, named.owner_id, named.reason, named.locked_at, named.expires_at,
                                        named.release_on_push, named.locked_at_commit
                           ORDER BY named.path, named.fence) - 1) / 1000 AS portion
                FROM unnest(p_lock_ids) AS asked (id)
                CROSS JOIN LATERAL (SELECT * FROM locks WHERE locks.id = asked.id OFFSET 0) named
            ) k
            GROUP BY k.lock_type, k.owner_id, k.reason, k.locked_at, k.expires_at, k.release_on_push, k.locked_at_commit,
                     k.portion
        ) l
        CROSS JOIN LATERAL (SELECT username FROM user_identities WHERE user_identities.id = l.owner_id OFFSET 0) u
        ORDER BY l.first_path, l.first_fence
    ) e;
END;
$$;
