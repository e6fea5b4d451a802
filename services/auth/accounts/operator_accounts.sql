-- name: mark_verified
-- Makes the address of an account a verified one.
UPDATE users SET email_verified = true WHERE id = $1;

-- name: lock_account
-- An account that can have a password, by its username in lower case. Makes changes of it follow one another.
SELECT id, username, email, email_key FROM users
WHERE lower(username) = $1 AND status IN ('active', 'pending_verification')
FOR NO KEY UPDATE;

-- name: force_password_change
-- Ends the password of an account, until another one is set.
UPDATE user_credentials SET force_password_change = true WHERE user_id = $1;
