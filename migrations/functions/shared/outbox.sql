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
