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

-- name: revoke_session
-- Ends one session of a user.
UPDATE sessions SET revoked_at = clock_timestamp()
WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
RETURNING id;
