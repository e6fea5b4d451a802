-- name: lock_webhook
-- A webhook that is not deleted; nobody else claims or records its attempts until the transaction ends. has_lost: of
-- those that have been under way for longer than $2 there may be some. The commit does not wait for the disk: what a
-- crash of the database undoes is sent again.
SELECT url, active, secret_encrypted, failure_count, failing_since, set_config('synchronous_commit', 'off', true),
       CASE WHEN previous_secret_until > clock_timestamp() THEN previous_secret_encrypted END AS previous_secret,
       greatest(paused_until - clock_timestamp(), interval '0') AS pause,
       EXISTS (SELECT FROM webhook_deliveries
               WHERE webhook_id = $1 AND state = 'pending' AND started_at < statement_timestamp() - $2::interval) AS has_lost
FROM webhooks WHERE id = $1 AND deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: lost_attempts
-- Attempts of a webhook that have been under way for longer than $2: nobody will record what became of them.
SELECT id FROM webhook_deliveries
WHERE webhook_id = $1 AND state = 'pending' AND started_at < statement_timestamp() - $2::interval;

-- name: count_under_way
-- How many attempts of a webhook are under way.
SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1 AND state = 'pending' AND started_at IS NOT NULL;

-- name: claim_attempts
-- Begins up to :limit attempts of a webhook that are due, the earliest first, with bodies of up to :bytes, or one. Of a
-- webhook that is switched off, only those that a user asked for.
UPDATE webhook_deliveries d
SET started_at = clock_timestamp(), job_id = :job_id
FROM (
    SELECT t.*, sum(octet_length(t.body)) OVER (ORDER BY t.scheduled_at, t.id) AS size,
           row_number() OVER (ORDER BY t.scheduled_at, t.id) AS number
    FROM (
        SELECT due.id, due.scheduled_at, first.payload::text AS body
        FROM (SELECT id, delivery_id, scheduled_at FROM webhook_deliveries
              WHERE webhook_id = :webhook_id AND state = 'pending' AND started_at IS NULL
                AND scheduled_at <= now() AND (:active OR requested_by IS NOT NULL)
              ORDER BY scheduled_at LIMIT :limit) due
        JOIN webhook_deliveries first ON first.delivery_id = due.delivery_id AND first.attempt = 1
    ) t
) n
WHERE d.id = n.id AND (n.size <= :bytes OR n.number = 1)
RETURNING d.id, d.delivery_id, d.attempt, d.event, d.event_id, d.started_at, d.scheduled_at, n.body;

-- name: give_back_attempts
-- Attempts ($1) that were begun and not sent wait again.
UPDATE webhook_deliveries SET started_at = NULL, job_id = NULL
WHERE id = ANY ($1::uuid[]) AND state = 'pending';

-- name: get_owner
-- The user or organisation that a webhook belongs to; no row if it is deleted.
SELECT coalesce(w.org_id, r.owner_id) AS owner_id FROM webhooks w LEFT JOIN repositories r ON r.id = w.repo_id
WHERE w.id = $1 AND w.deleted_at IS NULL;

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
