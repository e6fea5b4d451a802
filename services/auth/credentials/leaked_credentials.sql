-- name: find_credential
-- The session or API token of a secret, live or not.
SELECT true AS is_session, s.id, s.user_id, u.username, coalesce(s.device_id, '') AS name
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.token_hash = $1 OR s.id = (SELECT session_id FROM former_session_tokens WHERE token_hash = $1)
UNION ALL
SELECT false, t.id, t.user_id, u.username, t.name
FROM api_tokens t JOIN users u ON u.id = t.user_id
WHERE t.token_hash = $1;

-- name: end_session
-- Ends a session unless it has ended.
UPDATE sessions SET revoked_at = clock_timestamp()
WHERE id = $1 AND revoked_at IS NULL AND expires_at > clock_timestamp()
RETURNING id;

-- name: end_token
-- Ends an API token unless it has ended.
UPDATE api_tokens SET revoked_at = clock_timestamp()
WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
RETURNING id;
