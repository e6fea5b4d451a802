-- name: lock_owner
-- Keeps others from adding webhooks to a repository or organisation until the transaction ends.
SELECT pg_advisory_xact_lock(advisory_key('webhooks', $1::text));

-- name: count_webhooks
-- How many webhooks a repository ($1) or organisation ($2) has.
SELECT count(*) FROM webhooks WHERE (repo_id = $1 OR org_id = $2) AND deleted_at IS NULL;

-- name: insert_webhook
-- A new webhook of a repository or organisation.
INSERT INTO webhooks (id, repo_id, org_id, url, secret_encrypted, events, active, created_by)
VALUES (:webhook_id, :repository_id, :organization_id, :url, :secret, :events, :active, :user_id);

-- name: get_webhook
-- A webhook ($1) of a repository ($2) or organisation ($3).
SELECT id, repo_id, org_id, url, events, active, created_by, created_at, updated_at, failing_since, disabled_at,
       CASE WHEN previous_secret_until > clock_timestamp() THEN previous_secret_until END AS previous_secret_until
FROM webhooks
WHERE id = $1 AND (repo_id = $2 OR org_id = $3) AND deleted_at IS NULL;

-- name: list_webhooks
-- All webhooks of a repository ($1) or organisation ($2), the oldest first.
SELECT id, repo_id, org_id, url, events, active, created_by, created_at, updated_at, failing_since, disabled_at,
       CASE WHEN previous_secret_until > clock_timestamp() THEN previous_secret_until END AS previous_secret_until
FROM webhooks
WHERE (repo_id = $1 OR org_id = $2) AND deleted_at IS NULL
ORDER BY created_at, id;

-- name: update_webhook
-- Changes what is not NULL. Switched on, a webhook has no failures behind it.
UPDATE webhooks
SET url = coalesce(:url, url),
    events = coalesce(:events, events),
    active = coalesce(:active, active),
    disabled_at = CASE WHEN :active THEN NULL ELSE disabled_at END,
    failing_since = CASE WHEN :active THEN NULL ELSE failing_since END,
    failure_count = CASE WHEN :active THEN 0 ELSE failure_count END,
    paused_until = CASE WHEN :active THEN NULL ELSE paused_until END
WHERE id = :webhook_id AND (repo_id = :repository_id OR org_id = :organization_id) AND deleted_at IS NULL
RETURNING id;

-- name: delete_webhook
-- Marks a webhook ($1) of a repository ($2) or organisation ($3) as deleted, and forgets its secrets.
UPDATE webhooks
SET active = FALSE, deleted_at = clock_timestamp(), secret_encrypted = '', previous_secret_encrypted = NULL,
    previous_secret_until = NULL
WHERE id = $1 AND (repo_id = $2 OR org_id = $3) AND deleted_at IS NULL
RETURNING url;

-- name: rotate_secret
-- Gives a webhook a new secret; the present one stays valid for :overlap.
UPDATE webhooks
SET secret_encrypted = :secret,
    previous_secret_encrypted = CASE WHEN :overlap > interval '0' THEN secret_encrypted END,
    previous_secret_until = CASE WHEN :overlap > interval '0' THEN clock_timestamp() + :overlap END
WHERE id = :webhook_id AND (repo_id = :repository_id OR org_id = :organization_id) AND deleted_at IS NULL
RETURNING url;
