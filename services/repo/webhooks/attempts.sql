-- name: lock_webhook
-- A webhook that is not deleted; nobody else claims or records its attempts until the transaction ends. has_lost: of
-- those that have been under way for longer than $2 there may be some.
SELECT url, active, secret_encrypted, failure_count, failing_since,
       CASE WHEN previous_secret_until > clock_timestamp() THEN previous_secret_encrypted END AS previous_secret,
       greatest(paused_until - clock_timestamp(), interval '0') AS pause,
       EXISTS (SELECT FROM webhook_deliveries
               WHERE webhook_id = $1 AND state = 'pending' AND started_at < clock_timestamp() - $2::interval) AS has_lost
FROM webhooks WHERE id = $1 AND deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: lost_attempts
-- Attempts of a webhook that have been under way for longer than $2: nobody will record what became of them.
SELECT id FROM webhook_deliveries
WHERE webhook_id = $1 AND state = 'pending' AND started_at < clock_timestamp() - $2::interval;

-- name: claim_attempts
-- Begins attempts of a webhook that are due, so that at most :limit are under way, the earliest first. Of a webhook that
-- is switched off, only those that a user asked for.
UPDATE webhook_deliveries d
SET started_at = clock_timestamp(), job_id = :job_id
FROM (
    SELECT id FROM webhook_deliveries
    WHERE webhook_id = :webhook_id AND state = 'pending' AND started_at IS NULL
      AND scheduled_at <= now() AND (:active OR requested_by IS NOT NULL)
    ORDER BY scheduled_at
    LIMIT greatest(0, :limit - (SELECT count(*) FROM webhook_deliveries
                                WHERE webhook_id = :webhook_id AND state = 'pending' AND started_at IS NOT NULL))
) due, webhook_deliveries first
WHERE d.id = due.id AND first.delivery_id = d.delivery_id AND first.attempt = 1
RETURNING d.id, d.delivery_id, d.attempt, d.event, d.event_id, d.started_at, first.payload::text AS body;

-- name: next_wait
-- How long until an attempt of a webhook is due, or one that is under way is lost ($2 after its beginning); NULL = none
-- is pending.
SELECT least((SELECT min(scheduled_at) FROM webhook_deliveries
              WHERE webhook_id = $1 AND state = 'pending' AND started_at IS NULL
                AND scheduled_at > now()),
             (SELECT min(started_at) FROM webhook_deliveries
              WHERE webhook_id = $1 AND state = 'pending' AND started_at IS NOT NULL) + $2::interval)
       - clock_timestamp() AS wait;

-- name: end_attempts
-- Ends up to $3 waiting attempts of a webhook that is switched off, for a reason ($2), but not those that a user asked
-- for; returns them.
UPDATE webhook_deliveries
SET state = 'failed', success = FALSE, error = $2, delivered_at = clock_timestamp()
WHERE id IN (SELECT id FROM webhook_deliveries
             WHERE webhook_id = $1 AND state = 'pending' AND started_at IS NULL AND requested_by IS NULL
             LIMIT $3)
RETURNING id;

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
    RETURNING id, repo_id, org_id, created_by, failing_since
)
SELECT emit_event('webhook.disabled', repo_id, org_id, NULL, jsonb_build_object(
    'webhook_id', id, 'host', $4::text, 'creator_id', coalesce(created_by::text, ''),
    'failing_since', to_char(failing_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))
FROM disabled;

-- name: idle_webhooks
-- Webhooks, up to $2, with attempts that have been due, or under way, for $1: no job looks after them.
SELECT w.id
FROM webhooks w
WHERE w.deleted_at IS NULL
  AND (w.paused_until IS NULL OR w.paused_until < now() - $1::interval)
  AND (EXISTS (SELECT FROM webhook_deliveries
               WHERE webhook_id = w.id AND state = 'pending' AND started_at IS NULL
                 AND scheduled_at < now() - $1::interval)
       OR EXISTS (SELECT FROM webhook_deliveries
                  WHERE webhook_id = w.id AND state = 'pending' AND started_at < now() - $1::interval))
LIMIT $2;
