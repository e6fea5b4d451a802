-- name: owner
-- A user or organisation by its name in lower case, and the user's ($2) right to what it owns.
SELECT owner_type, owner_id, name, cell, owner_permission($2, owner_type, owner_id) AS permission
FROM owner_identities WHERE name_key = $1 AND active;
