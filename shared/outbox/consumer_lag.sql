-- name: lags
-- Of each consumer, how old the oldest event is that it has yet to read, settled or not, how many it gave up, and
-- whether its cursor is at a transaction that this database has not begun.
SELECT c.consumer, c.xid > pg_snapshot_xmax(pg_current_snapshot()) AS is_ahead,
       greatest(coalesce(extract(epoch FROM clock_timestamp() - e.created_at), 0), 0)::float8 AS seconds,
       (SELECT count(*) FROM dead_events d WHERE d.consumer = c.consumer) AS dead_count
FROM event_cursors c
LEFT JOIN LATERAL (SELECT o.created_at FROM events o WHERE (o.xid, o.id) > (c.xid, c.id)
                   ORDER BY o.xid, o.id LIMIT 1) e ON true;
