-- name: get_plan
-- What the plan of an organisation, by its name in lower case, allows; its row is locked.
SELECT id, name, plan_storage_bytes, plan_seats FROM organizations
WHERE lower(name) = $1 AND deleted_at IS NULL FOR NO KEY UPDATE;

-- name: set_plan
-- Replaces what the plan of an organisation allows; NULL = any amount.
UPDATE organizations SET plan_storage_bytes = $2, plan_seats = $3 WHERE id = $1;
