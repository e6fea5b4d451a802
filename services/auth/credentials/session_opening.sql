-- name: lock_account
-- Makes logins of one account wait for each other, so that five sessions stay the most.
SELECT status, mfa_enabled FROM users WHERE id = $1 FOR NO KEY UPDATE;

-- name: evict_sessions
-- Ends the least recently used sessions beyond the newest four, to make room for one; returns them.
UPDATE sessions SET revoked_at = clock_timestamp()
WHERE revoked_at IS NULL AND id IN (
    SELECT id FROM sessions
    WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > clock_timestamp()
      AND last_active_at > clock_timestamp() - interval '30 minutes'
    ORDER BY last_active_at DESC, id OFFSET 4)
RETURNING id, device_id;

-- name: create_session
-- Opens a session for 24 hours; the proof that opened it counts as sudo for ten minutes.
INSERT INTO sessions (user_id, token_hash, created_at, last_active_at, expires_at, sudo_until, ip_address, user_agent,
                      device_id)
VALUES (:user_id, :token_hash, clock_timestamp(), clock_timestamp(),
        clock_timestamp() + interval '24 hours', clock_timestamp() + interval '10 minutes', :ip_address::inet,
        :user_agent, :device_id)
RETURNING id, expires_at;

-- name: note_success
-- Clears the account's record of failures.
UPDATE user_credentials SET failed_login_attempts = 0
WHERE user_id = $1 AND failed_login_attempts > 0;
