-- name: login_row
-- The account behind a username or e-mail address as fold_login spells it, with its password, and whether it has
-- logged in from a network ($2) within 90 days.
SELECT u.id, u.username, u.status, c.password_hash,
       EXISTS (SELECT FROM sessions s
               WHERE s.user_id = u.id AND s.ip_address <<= $2::text::cidr
                 AND s.created_at > now() - interval '90 days') AS is_known_network
FROM users u JOIN user_credentials c ON c.user_id = u.id
WHERE lower(u.username) = $1 OR u.email_key = $1
ORDER BY (lower(u.username) = $1) DESC
LIMIT 1;

-- name: store_password_hash
-- Replaces a password hash that was made with older parameters, unless it changed meanwhile.
UPDATE user_credentials SET password_hash = $3, password_salt = $4, failed_login_attempts = 0
WHERE user_id = $1 AND password_hash = $2;

-- name: note_failure
-- Keeps the account's own record of failures, for its owner and administrators to see.
UPDATE user_credentials
SET failed_login_attempts = failed_login_attempts + 1, last_failed_login_at = clock_timestamp()
WHERE user_id = $1;

-- name: note_success
-- Clears the account's record of failures.
UPDATE user_credentials SET failed_login_attempts = 0
WHERE user_id = $1 AND failed_login_attempts > 0;

-- name: lock_account
-- Makes logins of one account wait for each other, so that five sessions stay the most.
SELECT status FROM users WHERE id = $1 FOR NO KEY UPDATE;

-- name: evict_sessions
-- Ends the least recently used sessions beyond the newest four, to make room for one; returns them.
UPDATE sessions SET revoked_at = clock_timestamp()
WHERE revoked_at IS NULL AND id IN (
    SELECT id FROM sessions
    WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > clock_timestamp()
      AND last_active_at > clock_timestamp() - interval '30 minutes'
    ORDER BY last_active_at DESC, id OFFSET 4)
RETURNING id;

-- name: create_session
-- Opens a session for 24 hours.
INSERT INTO sessions (user_id, token_hash, created_at, last_active_at, expires_at, ip_address, user_agent,
                      device_id)
VALUES (:user_id, :token_hash, clock_timestamp(), clock_timestamp(),
        clock_timestamp() + interval '24 hours', :ip_address::inet, :user_agent, :device_id)
RETURNING id, expires_at;

-- name: revoke_session
-- Ends one session of a user.
UPDATE sessions SET revoked_at = clock_timestamp()
WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
RETURNING id;
