-- name: find_permission
-- What a user ($1) may do with all that an owner ($2, $3) has.
SELECT owner_permission($1, $2, $3);

-- name: owner
-- Who owns a repository ($1) that is not deleted.
SELECT r.owner_type, r.owner_id, o.name
FROM repository_identities r JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
WHERE r.id = $1 AND r.deleted_at IS NULL;
