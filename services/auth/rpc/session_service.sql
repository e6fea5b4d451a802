-- name: store_password_hash
-- Replaces a password hash that was made with older parameters, unless it changed meanwhile.
UPDATE user_credentials SET password_hash = $3, password_salt = $4, failed_login_attempts = 0
WHERE user_id = $1 AND password_hash = $2;

-- name: note_failure
-- Keeps the account's own record of failures, for its owner and administrators to see.
UPDATE user_credentials
SET failed_login_attempts = failed_login_attempts + 1, last_failed_login_at = clock_timestamp()
WHERE user_id = $1;

-- name: revoke_session
-- Ends one session of a user.
UPDATE sessions SET revoked_at = clock_timestamp()
WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
RETURNING id;
