-- name: notify_user
-- Puts a notification into a user's inbox.
SELECT notify_user(:user_id, :type, :title, :message, :link);

-- name: repository_name
-- Owner and name of a repository.
SELECT o.name AS owner, r.name
FROM repository_identities r
JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
WHERE r.id = $1;
