-- name: find_session
-- The session that a token is of, or was of before it was replaced.
SELECT id FROM sessions WHERE token_hash = $1
UNION ALL
SELECT session_id FROM former_session_tokens WHERE token_hash = $1;

-- name: lock_session
-- A session, locked, if it is live; is_fresh: its token is younger than $2.
SELECT s.id, s.token_hash, s.user_id, u.username, s.expires_at, s.device_id,
       s.token_issued_at > clock_timestamp() - $2::interval AS is_fresh
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > clock_timestamp()
  AND s.last_active_at > clock_timestamp() - interval '30 minutes' AND u.status = 'active'
FOR NO KEY UPDATE OF s;

-- name: replace_token
-- Gives a session that is locked another token, and keeps the hash of the old one with the new one, sealed. What it kept
-- so before is of no use any more.
WITH forgotten AS (
    UPDATE former_session_tokens SET sealed_successor = '' WHERE session_id = :session_id AND sealed_successor <> ''
), kept AS (
    INSERT INTO former_session_tokens (token_hash, session_id, replaced_at, sealed_successor)
    SELECT token_hash, id, statement_timestamp(), :sealed FROM sessions WHERE id = :session_id
)
UPDATE sessions
SET token_hash = :token_hash, token_issued_at = statement_timestamp(), last_active_at = statement_timestamp(),
    last_ip = coalesce(:ip_address::inet, last_ip)
WHERE id = :session_id;

-- name: find_successor
-- What has replaced a token; is_recent: less than $2 ago.
SELECT sealed_successor, replaced_at > clock_timestamp() - $2::interval AS is_recent
FROM former_session_tokens WHERE token_hash = $1;

-- name: end_session
-- Ends a session that is locked.
UPDATE sessions SET revoked_at = clock_timestamp() WHERE id = $1;
