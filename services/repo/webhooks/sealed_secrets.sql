-- name: count_by_key
-- How many secrets of webhooks each key has sealed. Deleted webhooks have none.
SELECT substring(s.sealed FROM 1 FOR 4) AS key_id, count(*) AS secrets
FROM (SELECT secret_encrypted AS sealed FROM webhooks WHERE deleted_at IS NULL
      UNION ALL
      SELECT previous_secret_encrypted FROM webhooks WHERE previous_secret_encrypted IS NOT NULL) s
GROUP BY key_id;

-- name: list_stale_secrets
-- Up to $3 webhooks after an id ($1) whose secret was not sealed by the key $2; locks them.
SELECT id, secret_encrypted AS sealed FROM webhooks
WHERE deleted_at IS NULL AND substring(secret_encrypted FROM 1 FOR 4) <> $2 AND ($1::uuid IS NULL OR id > $1)
ORDER BY id LIMIT $3 FOR NO KEY UPDATE;

-- name: replace_secret
-- Keeps the same secret, sealed anew.
UPDATE webhooks SET secret_encrypted = $2 WHERE id = $1;

-- name: list_stale_previous
-- Up to $3 webhooks after an id ($1) whose previous secret was not sealed by the key $2; locks them.
SELECT id, previous_secret_encrypted AS sealed FROM webhooks
WHERE previous_secret_encrypted IS NOT NULL AND substring(previous_secret_encrypted FROM 1 FOR 4) <> $2
  AND ($1::uuid IS NULL OR id > $1)
ORDER BY id LIMIT $3 FOR NO KEY UPDATE;

-- name: replace_previous
-- Keeps the same previous secret, sealed anew.
UPDATE webhooks SET previous_secret_encrypted = $2 WHERE id = $1;
