-- name: get_plan
-- What the plan of an organisation, by its name in lower case, allows; its row is locked.
SELECT id, name, plan_storage_bytes, plan_seats FROM organizations
WHERE lower(name) = $1 AND deleted_at IS NULL FOR NO KEY UPDATE;

-- name: get_user_plan
-- What the plan of a user, by the username in lower case, allows; the row is locked.
SELECT id, username AS name, plan_storage_bytes FROM users
WHERE lower(username) = $1 AND status <> 'deleted' FOR NO KEY UPDATE;

-- name: set_user_plan
-- Replaces what the plan of a user allows; NULL = any amount.
UPDATE users SET plan_storage_bytes = $2 WHERE id = $1;

-- name: set_plan
-- Replaces what the plan of an organisation allows; NULL = any amount.
UPDATE organizations SET plan_storage_bytes = $2, plan_seats = $3 WHERE id = $1;
