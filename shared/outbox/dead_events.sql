-- name: list_dead_events
-- The events that a consumer ($1; NULL = any) gave up, those first that died first.
SELECT database_id()::text AS database_id, consumer, id, type, repo_id, created_at, died_at, error, requeued_at
FROM dead_events WHERE consumer = coalesce($1::text, consumer)
ORDER BY died_at, consumer, id;

-- name: requeue_event
-- Has a consumer ($1) try a dead event ($2) again; no row if there is none, or if a restored outbox lacks the event.
UPDATE dead_events d SET requeued_at = clock_timestamp()
WHERE d.consumer = $1 AND d.id = $2 AND EXISTS (SELECT FROM events e WHERE e.id = d.id)
RETURNING database_id()::text AS database_id, type, repo_id, org_id;

-- name: drop_event
-- Forgets a dead event ($2) of a consumer ($1); no row if there is none.
DELETE FROM dead_events WHERE consumer = $1 AND id = $2
RETURNING database_id()::text AS database_id, type, repo_id, org_id;
