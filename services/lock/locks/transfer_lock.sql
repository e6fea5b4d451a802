-- name: writer
-- The active user of this name in lower case, if the user may write to the repository.
SELECT u.id, u.username
FROM user_identities u
WHERE lower(u.username) = $2 AND u.status = 'active' AND repository_permission(u.id, $1) >= 2;
