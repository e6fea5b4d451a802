-- The outbox: events are written in the transaction in which they happen, and deleted when they are old.

-- Records an event in the caller's transaction and returns its id.
CREATE OR REPLACE FUNCTION emit_event(
    p_type TEXT,
    p_repo_id UUID,
    p_org_id UUID,
    p_actor_id UUID,
    p_payload JSONB
)
RETURNS BIGINT
LANGUAGE sql
AS $$
    INSERT INTO events (type, repo_id, org_id, actor_id, payload)
    VALUES (p_type, p_repo_id, p_org_id, p_actor_id, coalesce(p_payload, '{}'))
    RETURNING id
$$;

-- Deletes up to p_limit events, the oldest first, that are older than p_keep and that every background
-- consumer is done with, dead events excepted, and returns how many: 0 while another transaction is at it.
CREATE OR REPLACE FUNCTION purge_events(p_keep INTERVAL, p_limit INT)
RETURNS INT
LANGUAGE plpgsql
AS $$
DECLARE
    v_xid XID8;
    v_id BIGINT;
    v_count INT;
BEGIN
    -- One at a time: the horizon only rises.
    IF NOT pg_try_advisory_xact_lock(advisory_key('retention', 'events')) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM events WHERE id IN (
            SELECT e.id FROM settled_events e
            WHERE e.created_at < clock_timestamp() - p_keep
              AND NOT EXISTS (SELECT FROM event_cursors c WHERE (c.xid, c.id) < (e.xid, e.id))
              AND NOT EXISTS (SELECT FROM dead_events d WHERE d.id = e.id)
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
