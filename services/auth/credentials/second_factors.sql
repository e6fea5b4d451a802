-- name: lock_named_account
-- The account with a username in lower case, locked as by lock_account.
SELECT id, username FROM users WHERE lower(username) = $1 FOR NO KEY UPDATE;

-- name: read_state
-- Whether an account has a second factor, and how many recovery codes; no row if it never had a password or factor.
SELECT mfa_enabled, coalesce(cardinality(mfa_recovery_codes_hash), 0) AS codes_left
FROM user_credentials WHERE user_id = $1;

-- name: store_pending
-- Keeps a secret that is to be confirmed.
INSERT INTO user_credentials (user_id, mfa_pending_encrypted) VALUES ($1, $2)
ON CONFLICT (user_id) DO UPDATE SET mfa_pending_encrypted = excluded.mfa_pending_encrypted;

-- name: read_pending
-- The secret that is to be confirmed, with the time in seconds since 1970; no row if there is none.
SELECT mfa_pending_encrypted AS sealed, extract(epoch FROM clock_timestamp())::float8 AS seconds
FROM user_credentials WHERE user_id = $1 AND mfa_pending_encrypted IS NOT NULL;

-- name: enable
-- Makes the secret that was confirmed by the code of a step ($2) the second factor, with hashes of recovery codes ($3).
UPDATE user_credentials
SET mfa_enabled = TRUE, mfa_secret_encrypted = mfa_pending_encrypted, mfa_pending_encrypted = NULL,
    mfa_last_step = $2, mfa_recovery_codes_hash = $3
WHERE user_id = $1;

-- name: disable
-- Takes the second factor away, with all that belongs to it; no row if there was none.
UPDATE user_credentials c
SET mfa_enabled = FALSE, mfa_secret_encrypted = NULL, mfa_pending_encrypted = NULL, mfa_last_step = NULL,
    mfa_recovery_codes_hash = NULL
FROM (SELECT user_id, mfa_enabled FROM user_credentials WHERE user_id = $1 FOR UPDATE) old
WHERE c.user_id = old.user_id AND old.mfa_enabled
RETURNING c.user_id;

-- name: replace_codes
-- Gives an account other recovery codes; no row if it has no second factor.
UPDATE user_credentials SET mfa_recovery_codes_hash = $2 WHERE user_id = $1 AND mfa_enabled
RETURNING user_id;

-- name: hold_secret
-- The secret of a second factor, locked, with its last step and the time in seconds since 1970; no row if there is none.
SELECT mfa_secret_encrypted AS sealed, coalesce(mfa_last_step, 0) AS last_step,
       extract(epoch FROM clock_timestamp())::float8 AS seconds
FROM user_credentials WHERE user_id = $1 AND mfa_enabled FOR NO KEY UPDATE;

-- name: accept_step
-- Keeps the step whose code was accepted.
UPDATE user_credentials SET mfa_last_step = $2 WHERE user_id = $1;

-- name: use_recovery_code
-- Uses a recovery code up, by its hash, and returns how many are left; no row if it is none of the account's, or not any
-- more.
UPDATE user_credentials SET mfa_recovery_codes_hash = array_remove(mfa_recovery_codes_hash, $2)
WHERE user_id = $1 AND mfa_enabled AND $2 = ANY (mfa_recovery_codes_hash)
RETURNING cardinality(mfa_recovery_codes_hash);

-- name: find_addressee
-- Whom a mail about an account goes to.
SELECT id, username, email, email_key FROM users WHERE id = $1;
