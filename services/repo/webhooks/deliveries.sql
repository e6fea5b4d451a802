-- name: lock_webhook
-- Keeps others from asking for deliveries of a webhook until the transaction ends; no row if it was deleted.
SELECT 1 FROM webhooks WHERE id = $1 FOR NO KEY UPDATE;

-- name: count_requested
-- How many deliveries of a webhook that users asked for are pending.
SELECT count(*) FROM webhook_deliveries
WHERE webhook_id = $1 AND state = 'pending' AND requested_by IS NOT NULL;

-- name: insert_delivery
-- A new delivery of a webhook that a user asked for.
INSERT INTO webhook_deliveries (webhook_id, delivery_id, attempt, event, event_id, payload, requested_by)
VALUES (:webhook_id, :delivery_id, 1, :event, :event_id, :body::jsonb, :user_id);

-- name: get_first_attempt
-- What a delivery ($1) of a webhook of a repository ($2) or organisation ($3) sends.
SELECT d.webhook_id, d.event, d.event_id, d.payload::text AS body
FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
WHERE d.delivery_id = $1 AND d.attempt = 1 AND (w.repo_id = $2 OR w.org_id = $3) AND w.deleted_at IS NULL;

-- name: list_deliveries
-- Deliveries of a webhook, the newest first, behind one of them; :created_at NULL = from the beginning.
SELECT f.delivery_id, f.webhook_id, f.event, f.event_id, f.requested_by, f.created_at, a.*
FROM (
    SELECT delivery_id, webhook_id, event, event_id, requested_by, created_at
    FROM webhook_deliveries
    WHERE webhook_id = :webhook_id AND attempt = 1
      AND (:created_at::timestamptz IS NULL OR (created_at, delivery_id) < (:created_at, :delivery_id::uuid))
    ORDER BY created_at DESC, delivery_id DESC
    LIMIT :count
) f
CROSS JOIN LATERAL (
    SELECT count(started_at) AS attempt_count,
           (array_agg(response_status ORDER BY attempt DESC)
                FILTER (WHERE started_at IS NOT NULL AND delivered_at IS NOT NULL))[1] AS last_status,
           (array_agg(state ORDER BY attempt DESC))[1] AS state,
           max(scheduled_at) FILTER (WHERE state = 'pending' AND started_at IS NULL) AS next_attempt_at
    FROM webhook_deliveries WHERE delivery_id = f.delivery_id
) a
ORDER BY f.created_at DESC, f.delivery_id DESC;

-- name: get_delivery
-- One delivery.
SELECT f.delivery_id, f.webhook_id, f.event, f.event_id, f.requested_by, f.created_at, a.*
FROM webhook_deliveries f
CROSS JOIN LATERAL (
    SELECT count(started_at) AS attempt_count,
           (array_agg(response_status ORDER BY attempt DESC)
                FILTER (WHERE started_at IS NOT NULL AND delivered_at IS NOT NULL))[1] AS last_status,
           (array_agg(state ORDER BY attempt DESC))[1] AS state,
           max(scheduled_at) FILTER (WHERE state = 'pending' AND started_at IS NULL) AS next_attempt_at
    FROM webhook_deliveries WHERE delivery_id = f.delivery_id
) a
WHERE f.delivery_id = $1 AND f.attempt = 1;

-- name: list_attempts
-- The attempts at a delivery that have begun or were given up.
SELECT attempt, state, started_at, duration_ms, request_headers, response_status, response_headers, response_body, error
FROM webhook_deliveries
WHERE delivery_id = $1 AND (started_at IS NOT NULL OR error IS NOT NULL)
ORDER BY attempt;

-- name: purge_attempts
-- Deletes up to $2 attempts of deliveries that have had none for $1, or whose webhook is deleted, and then the webhooks
-- that were deleted an hour ago and have none left; returns how many attempts.
WITH old AS (
    SELECT d.id FROM webhook_deliveries d
    WHERE d.created_at < statement_timestamp() - $1::interval
      AND NOT EXISTS (SELECT FROM webhook_deliveries n
                      WHERE n.delivery_id = d.delivery_id
                        AND (n.created_at >= clock_timestamp() - $1::interval OR n.state = 'pending'))
    ORDER BY d.created_at LIMIT $2
), orphaned AS (
    SELECT d.id FROM webhooks w JOIN webhook_deliveries d ON d.webhook_id = w.id
    WHERE w.deleted_at IS NOT NULL LIMIT $2
), gone AS (
    DELETE FROM webhook_deliveries
    WHERE id IN (SELECT id FROM old UNION SELECT id FROM orphaned LIMIT $2)
    RETURNING 1
), ended AS (
    DELETE FROM webhooks w
    WHERE w.deleted_at < clock_timestamp() - interval '1 hour'
      AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.id)
)
SELECT count(*)::int AS count FROM gone;
