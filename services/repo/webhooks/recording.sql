-- name: record_attempts
-- Records what became of attempts; those without an error have succeeded. Returns those that were still pending.
UPDATE webhook_deliveries d
SET state = CASE WHEN o.error IS NULL THEN 'succeeded' ELSE 'failed' END,
    success = o.error IS NULL,
    error = o.error,
    request_headers = o.request_headers,
    response_status = nullif(o.status, 0),
    response_headers = o.response_headers,
    response_body = o.response_body,
    duration_ms = o.duration_ms,
    delivered_at = clock_timestamp()
FROM unnest(:ids::uuid[], :errors::text[], :request_headers::jsonb[], :statuses::int[], :response_headers::jsonb[],
            :response_bodies::text[], :durations::int[])
    AS o(id, error, request_headers, status, response_headers, response_body, duration_ms)
WHERE d.id = o.id AND d.state = 'pending'
RETURNING d.id, d.event, d.attempt, d.success, d.started_at, d.requested_by;

-- name: schedule_attempts
-- Makes the next attempt after each of some ($1), to begin $2 from now.
INSERT INTO webhook_deliveries (webhook_id, delivery_id, attempt, event, event_id, requested_by, scheduled_at)
SELECT d.webhook_id, d.delivery_id, d.attempt + 1, d.event, d.event_id, d.requested_by, clock_timestamp() + n.delay
FROM unnest($1::uuid[], $2::interval[]) n(id, delay)
JOIN webhook_deliveries d ON d.id = n.id;

-- name: count_success
-- Notes that an attempt at a webhook has succeeded.
UPDATE webhooks SET failing_since = NULL, failure_count = 0, paused_until = NULL WHERE id = $1;

-- name: count_failures
-- Notes that attempts at a webhook have failed since a time, and how long nothing is to be sent.
UPDATE webhooks
SET failing_since = coalesce(failing_since, :since), failure_count = failure_count + :count,
    paused_until = clock_timestamp() + :pause::interval
WHERE id = :webhook_id;

-- name: disable_failing
-- Switches a webhook off if $2 attempts or more have failed since the last success, for longer than $3, and says so in
-- an event; $4 is the host of its URL.
WITH disabled AS (
    UPDATE webhooks SET active = FALSE, disabled_at = clock_timestamp()
    WHERE id = $1 AND active AND failure_count >= $2 AND failing_since < clock_timestamp() - $3::interval
    RETURNING id, repo_id, org_id, created_by, failing_since, failure_count
)
SELECT repo_id, org_id, failure_count, emit_event('webhook.disabled', repo_id, org_id, NULL, jsonb_build_object(
    'webhook_id', id, 'host', $4::text, 'creator_id', coalesce(created_by::text, ''),
    'failing_since', to_char(failing_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))
FROM disabled;
