-- name: create_operator_token
-- Stores a token of an active account, by its username in lower case; no row if there is none.
INSERT INTO api_tokens (user_id, name, token_hash, scopes, expires_at, created_at)
SELECT id, :name, :token_hash, :scopes, clock_timestamp() + :life, clock_timestamp()
FROM users WHERE lower(username) = :username AND status = 'active'
RETURNING id, user_id;
