-- name: find_account
-- The account behind a username or e-mail address as fold_login spells it, if it may get a link.
SELECT id, username, email, email_key, email_verified
FROM users
WHERE (lower(username) = $1 OR email_key = $1) AND status IN ('active', 'pending_verification')
ORDER BY (lower(username) = $1) DESC
LIMIT 1;
