-- name: user_id
-- The account of a username in lower case.
SELECT id FROM user_identities WHERE lower(username) = $1;
