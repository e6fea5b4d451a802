-- name: owner
-- A user or organisation by id ($1) or by a name that leads to it ($2, in lower case), and the user's ($3) right to what
-- it owns.
SELECT o.owner_type, o.owner_id, o.name, o.cell, owner_permission($3, o.owner_type, o.owner_id) AS permission
FROM owner_identities o
WHERE (o.owner_type, o.owner_id) IN (
          SELECT k.owner_type, k.owner_id FROM owner_names k WHERE k.name_key = $2
          UNION ALL VALUES ('user', $1::uuid), ('organization', $1))
  AND o.active;

-- name: hold_owner
-- Keeps an owner from being deleted until the transaction ends; false = it is gone.
SELECT hold_owner($1, $2);
