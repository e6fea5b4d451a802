-- name: next_of_repository
-- Up to :count settled events of a repository behind a position (NULL = from now on), without their payloads, each
-- with what outbox_state() tells; one row without an event if there are none.
SELECT s.database_id, s.settled, s.is_lost, clock_timestamp() AS server_time, e.xid::text AS xid, e.id, e.type,
       e.repo_id, e.size
FROM outbox_state(:database_id::text, :xid::text::xid8, :event_id::bigint) s
LEFT JOIN LATERAL (
    SELECT o.xid, o.id, o.type, o.repo_id, pg_column_size(o.payload) AS size
    FROM settled_events o
    WHERE o.repo_id = :repository_id AND (o.xid, o.id) > (:xid::text::xid8, :event_id::bigint)
    ORDER BY o.xid, o.id
    LIMIT :count
) e ON true
ORDER BY e.xid, e.id;

-- name: next_of_all
-- Up to :count settled events behind a position (NULL = from now on), as next_of_repository.
SELECT s.database_id, s.settled, s.is_lost, clock_timestamp() AS server_time, e.xid::text AS xid, e.id, e.type,
       e.repo_id, e.size
FROM outbox_state(:database_id::text, :xid::text::xid8, :event_id::bigint) s
LEFT JOIN LATERAL (
    SELECT o.xid, o.id, o.type, o.repo_id, pg_column_size(o.payload) AS size
    FROM settled_events o
    WHERE (o.xid, o.id) > (:xid::text::xid8, :event_id::bigint)
    ORDER BY o.xid, o.id
    LIMIT :count
) e ON true
ORDER BY e.xid, e.id;

-- name: events
-- Some events, in their order.
SELECT database_id() AS database_id, xid::text AS xid, id, type, repo_id, org_id, actor_id, payload, created_at
FROM events WHERE id = ANY ($1::bigint[]) ORDER BY xid, id;
