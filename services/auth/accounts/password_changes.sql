-- name: find_password
-- The password of an account, NULL if it has none that counts, and what a new one may not be.
SELECT u.username, u.email, u.mfa_enabled,
       CASE WHEN NOT c.force_password_change THEN c.password_hash END AS password_hash
FROM users u LEFT JOIN user_credentials c ON c.user_id = u.id WHERE u.id = $1;

-- name: find_link_account
-- The account that a token ($1: its hash) would reset the password of.
SELECT u.username, u.email
FROM one_time_tokens t JOIN users u ON u.id = t.user_id
WHERE t.token_hash = $1 AND t.purpose = 'reset_password' AND t.used_at IS NULL AND t.expires_at > clock_timestamp();

-- name: lock_account
-- Makes changes of an account follow one another; returns whom a mail about it goes to.
SELECT id, username, email, email_key FROM users WHERE id = $1 FOR NO KEY UPDATE;

-- name: is_password
-- Whether an account has this hash ($2) for its password, and that counts.
SELECT EXISTS (SELECT FROM user_credentials WHERE user_id = $1 AND password_hash = $2 AND NOT force_password_change);

-- name: store_password
-- Gives an account a password.
INSERT INTO user_credentials (user_id, password_hash, password_salt, password_algorithm, password_changed_at)
VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (user_id) DO UPDATE SET
    password_hash = excluded.password_hash,
    password_salt = excluded.password_salt,
    password_algorithm = excluded.password_algorithm,
    password_changed_at = excluded.password_changed_at,
    force_password_change = false,
    failed_login_attempts = 0;
