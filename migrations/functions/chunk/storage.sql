-- How much repositories hold, and how much they may.

-- What a repository holds, in bytes.
CREATE OR REPLACE FUNCTION repository_held_bytes(p_repo_id UUID)
RETURNS BIGINT
LANGUAGE sql STABLE
AS $$
    SELECT coalesce((SELECT s.held_bytes FROM repository_storage s WHERE s.repo_id = p_repo_id), 0)
$$;

-- The limits that a repository is under, with what is held under each: its own, and that of the organisation or user that
-- owns it. Deleted repositories hold nothing.
CREATE OR REPLACE FUNCTION storage_limits(p_repo_id UUID)
RETURNS TABLE (scope TEXT, limit_bytes BIGINT, held_bytes BIGINT)
LANGUAGE sql STABLE
AS $$
    SELECT 'repository', l.max_storage_bytes, repository_held_bytes(p_repo_id)
    FROM repository_storage_limits l
    WHERE l.repo_id = p_repo_id AND l.max_storage_bytes > 0
    UNION ALL
    SELECT p.owner_type, p.plan_storage_bytes,
           coalesce((SELECT sum(s.held_bytes)::BIGINT
                     FROM repository_identities o JOIN repository_storage s ON s.repo_id = o.id
                     WHERE o.owner_type = p.owner_type AND o.owner_id = p.owner_id AND o.deleted_at IS NULL), 0)
    FROM repository_identities r
    JOIN owner_plans p ON p.owner_type = r.owner_type AND p.owner_id = r.owner_id
    WHERE r.id = p_repo_id AND p.plan_storage_bytes IS NOT NULL
$$;

-- The same, with what uploads under way have reserved and not brought yet, without one of them (NULL = of all).
CREATE OR REPLACE FUNCTION storage_room(p_repo_id UUID, p_without UUID)
RETURNS TABLE (scope TEXT, limit_bytes BIGINT, held_bytes BIGINT, reserved_bytes BIGINT)
LANGUAGE sql STABLE
AS $$
    SELECT l.scope, l.limit_bytes, l.held_bytes,
           coalesce((SELECT sum(v.byte_count)::BIGINT
                     FROM repository_identities r
                     JOIN repository_identities o
                       ON o.id = r.id
                       OR l.scope <> 'repository' AND o.owner_type = r.owner_type AND o.owner_id = r.owner_id
                          AND o.deleted_at IS NULL
                     JOIN storage_reservations v ON v.repo_id = o.id
                     WHERE r.id = p_repo_id AND v.expires_at > clock_timestamp()
                       AND v.id IS DISTINCT FROM p_without), 0)
    FROM storage_limits(p_repo_id) l
$$;

-- Makes uploads to one owner with a limit follow one another until the end of their transactions. Before it, they
-- have locked the row of their repository in repository_storage.
CREATE OR REPLACE FUNCTION lock_owner_storage(p_repo_id UUID)
RETURNS VOID
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(advisory_key('storage', r.owner_id::text))
    FROM repository_identities r
    JOIN owner_plans p ON p.owner_type = r.owner_type AND p.owner_id = r.owner_id
    WHERE r.id = p_repo_id AND p.plan_storage_bytes IS NOT NULL;
END;
$$;

-- Reserves p_bytes for an upload to a repository, for p_time, unless there is no limit; or returns the limit under which
-- there is no room for them beside what is held and reserved.
CREATE OR REPLACE FUNCTION reserve_storage(p_repo_id UUID, p_id UUID, p_bytes BIGINT, p_time INTERVAL)
RETURNS TABLE (scope TEXT, limit_bytes BIGINT, held_bytes BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM FROM storage_limits(p_repo_id);
    IF NOT FOUND THEN
        RETURN;
    END IF;

    PERFORM FROM repository_identities WHERE id = p_repo_id AND share_repository(id) FOR KEY SHARE;
    INSERT INTO repository_storage (repo_id, held_bytes, stored_bytes, chunk_count) VALUES (p_repo_id, 0, 0, 0)
    ON CONFLICT (repo_id) DO NOTHING;
    PERFORM FROM repository_storage s WHERE s.repo_id = p_repo_id FOR NO KEY UPDATE;
    PERFORM lock_owner_storage(p_repo_id);

    DELETE FROM storage_reservations WHERE id IN (
        SELECT v.id FROM storage_reservations v WHERE v.expires_at <= clock_timestamp()
        ORDER BY v.id LIMIT 1000 FOR UPDATE SKIP LOCKED);
    RETURN QUERY
    SELECT l.scope, l.limit_bytes, l.held_bytes + l.reserved_bytes FROM storage_room(p_repo_id, NULL) l
    WHERE l.held_bytes + l.reserved_bytes > l.limit_bytes - p_bytes
    ORDER BY l.scope = 'repository' DESC
    LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO storage_reservations (id, repo_id, byte_count, expires_at)
        VALUES (p_id, p_repo_id, p_bytes, clock_timestamp() + p_time);
    END IF;
END;
$$;

-- Judges p_added bytes that the caller's transaction has just added to a repository: they are taken from the upload's own
-- reservation (NULL = it has none), which lasts for p_time from now on. Returns the limit that is exceeded now by what is held
-- and what others have reserved, if one is; the transaction must not be committed then. Emits an event if 80 or 95 percent of a
-- limit are held from now on.
--
-- Uploads to one repository follow one another by its row of repository_storage, which the trigger has changed; those to one
-- owner with a limit by an advisory lock, after that row. So the next statement sees what those before have
-- committed. Who has the lock may still wait, for sealed packs (G5), but for nobody who waits for it: whoever wants it has no
-- pack locked but the own one.
CREATE OR REPLACE FUNCTION settle_storage(p_repo_id UUID, p_added BIGINT, p_reservation UUID, p_time INTERVAL)
RETURNS TABLE (scope TEXT, limit_bytes BIGINT, held_bytes BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM lock_owner_storage(p_repo_id);

    IF p_reservation IS NOT NULL THEN
        UPDATE storage_reservations
        SET byte_count = greatest(byte_count - p_added, 0), expires_at = clock_timestamp() + p_time
        WHERE id = p_reservation AND repo_id = p_repo_id;
    END IF;

    PERFORM emit_event('repo.storage_nearly_full', p_repo_id, NULL, NULL, jsonb_build_object(
        'owner', o.name, 'name', i.name, 'storage_scope', l.scope, 'storage_percent', t.share,
        'storage_limit_bytes', l.limit_bytes::text, 'storage_held_bytes', l.held_bytes::text))
    FROM storage_limits(p_repo_id) l
    CROSS JOIN LATERAL (SELECT max(share) AS share FROM unnest(ARRAY[80, 95]) AS share
                        WHERE l.held_bytes - p_added < l.limit_bytes / 100.0 * share
                          AND l.held_bytes >= l.limit_bytes / 100.0 * share) t
    JOIN repository_identities i ON i.id = p_repo_id
    JOIN owner_identities o ON o.owner_type = i.owner_type AND o.owner_id = i.owner_id
    WHERE t.share IS NOT NULL AND l.held_bytes <= l.limit_bytes;

    RETURN QUERY
    SELECT l.scope, l.limit_bytes, l.held_bytes + l.reserved_bytes FROM storage_room(p_repo_id, p_reservation) l
    WHERE l.held_bytes + l.reserved_bytes > l.limit_bytes
    ORDER BY l.scope = 'repository' DESC
    LIMIT 1;
END;
$$;
