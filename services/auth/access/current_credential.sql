-- name: describe_session
-- Times of a session.
SELECT '' AS name, created_at, expires_at, CASE WHEN sudo_until > now() THEN sudo_until END AS sudo_until
FROM sessions WHERE id = $1;

-- name: describe_token
-- Name and times of an API token.
SELECT name, created_at, expires_at, NULL::timestamptz AS sudo_until FROM api_tokens WHERE id = $1;
