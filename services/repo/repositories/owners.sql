-- name: owner
-- A user or organisation by its name in lower case, and the user's ($2) right to what it owns.
SELECT o.owner_type, o.owner_id, o.name, o.cell, owner_permission($2, o.owner_type, o.owner_id) AS permission
FROM owner_names k JOIN owner_identities o ON o.owner_type = k.owner_type AND o.owner_id = k.owner_id
WHERE k.name_key = $1 AND o.active;

-- name: hold_owner
-- Keeps an owner from being deleted until the transaction ends; false = it is gone.
SELECT hold_owner($1, $2);
