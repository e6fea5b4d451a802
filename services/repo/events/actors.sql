-- name: username
-- The name of a user.
SELECT username FROM user_identities WHERE id = $1;
