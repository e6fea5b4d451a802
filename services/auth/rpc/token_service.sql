-- name: create_token
-- Stores a new API token; :parent_id is the token that makes it, and NULL if a session does.
INSERT INTO api_tokens (user_id, name, token_hash, scopes, expires_at, repository_ids, parent_id, generation,
                        created_at)
VALUES (:user_id, :name, :token_hash, :scopes, :expires_at, :repository_ids, :parent_id, :generation,
        clock_timestamp())
RETURNING id, name, scopes, repository_ids, created_at, expires_at, last_used_at;

-- name: list_tokens
-- Live tokens of a user, newest first, after ($2, $3).
SELECT id, name, scopes, repository_ids, created_at, expires_at, last_used_at
FROM api_tokens
WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
  AND (parent_id IS NULL OR token_is_live(parent_id))
  AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
ORDER BY created_at DESC, id DESC
LIMIT $4;

-- name: revoke_token
-- Ends a token; once ended it stays ended at that time.
UPDATE api_tokens t SET revoked_at = coalesce(t.revoked_at, clock_timestamp())
FROM (SELECT id, revoked_at FROM api_tokens WHERE id = $1 AND user_id = $2 FOR NO KEY UPDATE) was
WHERE t.id = was.id
RETURNING t.name, was.revoked_at IS NULL AS ended_now;

-- name: parent
-- What limits the tokens that a token makes.
SELECT expires_at, generation FROM api_tokens WHERE id = $1;
