-- name: describe_session
-- Times of a session.
SELECT '' AS name, created_at, expires_at FROM sessions WHERE id = $1;

-- name: describe_token
-- Name and times of an API token.
SELECT name, created_at, expires_at FROM api_tokens WHERE id = $1;
