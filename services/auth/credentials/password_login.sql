-- name: store_password_hash
-- Replaces a password hash that was made with older parameters, unless it changed meanwhile.
UPDATE user_credentials SET password_hash = $3, password_salt = $4, failed_login_attempts = 0
WHERE user_id = $1 AND password_hash = $2;

-- name: is_password
-- Whether an account has this hash ($2) for its password, and that counts.
SELECT EXISTS (SELECT FROM user_credentials WHERE user_id = $1 AND password_hash = $2 AND NOT force_password_change);
