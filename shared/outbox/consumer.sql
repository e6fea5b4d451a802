-- name: look_ahead
-- Whether a consumer has something to do; no row if it has no cursor yet.
SELECT (c.retry_at IS NULL OR c.retry_at <= clock_timestamp()) AND e.id IS NOT NULL AS is_due,
       EXISTS (SELECT FROM dead_events d WHERE d.consumer = c.consumer AND d.requeued_at IS NOT NULL) AS has_requeued
FROM event_cursors c
LEFT JOIN LATERAL (SELECT o.id FROM settled_events o WHERE (o.xid, o.id) > (c.xid, c.id)
                   ORDER BY o.xid, o.id LIMIT 1) e ON true
WHERE c.consumer = $1;

-- name: create_cursor
-- The cursor of a new consumer: before all that commits from now on.
INSERT INTO event_cursors (consumer, xid) VALUES ($1, pg_snapshot_xmin(pg_current_snapshot()))
ON CONFLICT (consumer) DO NOTHING;

-- name: lock_cursor
-- Where a consumer is; no row while another process is at it, or until the next attempt is due. The rest of the
-- transaction may wait for the consumer.
SELECT xid::text AS xid, id, failures, set_config('idle_in_transaction_session_timeout', '90s', true)
FROM event_cursors
WHERE consumer = $1 AND (retry_at IS NULL OR retry_at <= clock_timestamp())
FOR UPDATE SKIP LOCKED;

-- name: next_events
-- Up to $3 settled events behind a position; fewer if they are large.
SELECT database_id() AS database_id, e.xid::text AS xid, e.id, e.type, e.repo_id, e.org_id, e.actor_id, e.payload,
       e.created_at
FROM (
    SELECT s.*, sum(octet_length(s.payload::text)) OVER (ORDER BY s.xid, s.id) AS size
    FROM (SELECT o.*, row_number() OVER w AS number, sum(pg_column_size(o.payload)) OVER w AS stored_size
          FROM (SELECT * FROM settled_events WHERE (xid, id) > ($1::text::xid8, $2::bigint)
                ORDER BY xid, id LIMIT $3) o
          WINDOW w AS (ORDER BY o.xid, o.id)) s
    WHERE s.number = 1 OR s.stored_size <= 65536
) e
WHERE e.number = 1 OR e.size <= 1048576
ORDER BY e.xid, e.id;

-- name: lock_requeued
-- The dead event that a consumer ($1) was first told to try again; no row while another process is at it.
SELECT database_id() AS database_id, e.xid::text AS xid, e.id, e.type, e.repo_id, e.org_id, e.actor_id, e.payload,
       e.created_at, set_config('idle_in_transaction_session_timeout', '90s', true)
FROM dead_events d JOIN events e ON e.id = d.id JOIN event_cursors c ON c.consumer = d.consumer
WHERE d.consumer = $1 AND d.requeued_at IS NOT NULL
ORDER BY d.requeued_at, d.id LIMIT 1
FOR UPDATE OF d, c SKIP LOCKED;

-- name: forget_dead_event
-- A consumer ($1) is done with an event ($2) that it had given up.
DELETE FROM dead_events WHERE consumer = $1 AND id = $2;

-- name: bury_again
-- A consumer ($1) has failed once more ($3) at an event ($2) that it had given up.
UPDATE dead_events SET requeued_at = NULL, died_at = clock_timestamp(), error = $3 WHERE consumer = $1 AND id = $2;

-- name: move_cursor
-- Moves a consumer behind an event that it is done with.
UPDATE event_cursors
SET xid = $2::text::xid8, id = $3, failures = 0, retry_at = NULL, updated_at = clock_timestamp()
WHERE consumer = $1;

-- name: postpone
-- Counts a failure at the next event, and the pause before the next attempt.
UPDATE event_cursors SET failures = failures + 1, retry_at = clock_timestamp() + $2 WHERE consumer = $1;

-- name: bury_event
-- Keeps an event that a consumer ($1) failed at, and why ($3).
INSERT INTO dead_events (consumer, id, type, repo_id, org_id, actor_id, payload, created_at, error)
SELECT $1, id, type, repo_id, org_id, actor_id, payload, created_at, $3 FROM events WHERE id = $2;
