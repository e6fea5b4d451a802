-- Reading the outbox.

-- What a reader has to know besides the events behind its position (NULL = from now on), from the same
-- snapshot: the database, the transaction at which the next position begins once all settled events are read,
-- and whether the position is worth nothing: what followed it is no longer there, or it is not of this
-- database.
CREATE OR REPLACE FUNCTION outbox_state(p_database_id TEXT, p_xid XID8, p_id BIGINT)
RETURNS TABLE (database_id TEXT, settled TEXT, is_lost BOOLEAN)
LANGUAGE sql STABLE
AS $$
    SELECT d.id::text, pg_snapshot_xmin(pg_current_snapshot())::text,
           coalesce(p_database_id <> d.id::text
                    OR (p_xid, p_id) < (h.xid, h.id)
                    OR p_xid > pg_snapshot_xmax(pg_current_snapshot()), false)
    FROM event_horizon h CROSS JOIN (SELECT database_id() AS id) d
$$;

-- Whether positions in the outbox are ahead of this server's transactions, as after a dump was restored into a cluster
-- whose numbers are lower: what happens from then on would stand before what every consumer has read.
CREATE OR REPLACE FUNCTION outbox_is_ahead()
RETURNS BOOLEAN
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(greatest((SELECT e.xid FROM events e ORDER BY e.xid DESC, e.id DESC LIMIT 1),
                             (SELECT c.xid FROM event_cursors c ORDER BY c.xid DESC LIMIT 1),
                             (SELECT h.xid FROM event_horizon h))
                    > pg_snapshot_xmax(pg_current_snapshot()), false)
$$;

-- Gives the events of a restored dump numbers below all of this server's transactions, and returns whether that was
-- needed. What each consumer has yet to read stays as it was. Positions that were told to others are worth nothing
-- (outbox_state), so the horizon begins anew.
CREATE OR REPLACE FUNCTION renumber_outbox()
RETURNS BOOLEAN
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT outbox_is_ahead() THEN
        RETURN FALSE;
    END IF;
    LOCK TABLE event_cursors, events, event_horizon IN SHARE ROW EXCLUSIVE MODE;
    -- The events between two consumers get one number, in which they are in the order of their ids: none stands
    -- before an event that its transaction had seen.
    WITH places AS (
        SELECT DISTINCT xid, id FROM event_cursors
    ), moved AS (
        UPDATE event_cursors c SET id = 9223372036854775807, xid =
            (SELECT count(*) FROM places p WHERE (p.xid, p.id) <= (c.xid, c.id))::text::xid8
    )
    UPDATE events e SET xid =
        (SELECT count(*) + 1 FROM places p WHERE (p.xid, p.id) < (e.xid, e.id))::text::xid8;
    UPDATE event_horizon SET xid = '0', id = 0;
    RETURN TRUE;
END;
$$;
