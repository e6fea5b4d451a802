-- name: lock_events
-- Up to 100 settled lock events of a repository behind a position (NULL = from now on), each with the
-- database and the transaction at which the next position begins once all of them are read; one row without an
-- event if there are none. is_lost: what followed the position is no longer there, or the position is not of
-- this database.
SELECT s.database_id, s.settled, s.is_lost, s.server_time, e.xid::text AS xid, e.id, e.type, e.actor_id, e.payload,
       e.created_at
FROM (
    SELECT d.id::text AS database_id, pg_snapshot_xmin(pg_current_snapshot())::text AS settled,
           coalesce(:database_id::text <> d.id::text
                    OR (:xid::text::xid8, :event_id::bigint) < (h.xid, h.id)
                    OR :xid::text::xid8 > pg_snapshot_xmax(pg_current_snapshot()), false) AS is_lost,
           greatest(clock_timestamp(),
                    (SELECT c.high_water FROM lock_clocks c WHERE c.repo_id = :repository_id)) AS server_time
    FROM event_horizon h CROSS JOIN (SELECT database_id() AS id) d
) s
LEFT JOIN LATERAL (
    SELECT o.xid, o.id, o.type, o.actor_id, o.payload, o.created_at
    FROM settled_events o
    WHERE o.repo_id = :repository_id AND o.type LIKE 'lock.%'
      AND (o.xid, o.id) > (:xid::text::xid8, :event_id::bigint)
    ORDER BY o.xid, o.id
    LIMIT 100
) e ON true
ORDER BY e.xid, e.id;
