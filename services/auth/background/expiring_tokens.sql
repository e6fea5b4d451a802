-- name: take_expiring_tokens
-- Marks up to $2 live tokens as told of that end within $1 and were made for longer, and returns them.
UPDATE api_tokens t SET end_noticed_at = clock_timestamp()
FROM (SELECT id FROM api_tokens
      WHERE end_noticed_at IS NULL AND revoked_at IS NULL
        AND expires_at > now() AND expires_at <= now() + $1::interval AND expires_at > created_at + $1::interval
        AND (parent_id IS NULL OR token_is_live(parent_id))
      ORDER BY expires_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) due
WHERE t.id = due.id
RETURNING t.id, t.user_id, t.name, t.expires_at;
