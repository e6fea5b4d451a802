-- name: read_password
-- The PHC string of an account's password, NULL if it has none that counts, and whether it has a second factor; no row if
-- it never had either.
SELECT CASE WHEN NOT force_password_change THEN password_hash END AS password_hash, mfa_enabled
FROM user_credentials WHERE user_id = $1;

-- name: find_login
-- An account ($1), if it has this username or e-mail address ($2) as fold_login spells it; else no row.
SELECT id FROM users WHERE id = $1 AND (lower(username) = $2 OR email_key = $2);

-- name: elevate_session
-- Gives a live session sudo for ten minutes; no row if it has ended.
UPDATE sessions SET sudo_until = clock_timestamp() + interval '10 minutes'
WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > clock_timestamp()
RETURNING sudo_until;
