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
-- The first of some events, in their order: at least one, and no more than $2 bytes of payload.
SELECT database_id() AS database_id, e.xid::text AS xid, e.id, e.type, e.repo_id, e.org_id, e.actor_id, e.payload,
       e.created_at
FROM (
    SELECT o.*, row_number() OVER w AS number, sum(octet_length(o.payload::text)) OVER w AS size
    FROM events o WHERE o.id = ANY ($1::bigint[])
    WINDOW w AS (ORDER BY o.xid, o.id)
) e
WHERE e.number = 1 OR e.size <= $2
ORDER BY e.xid, e.id;
