-- name: find_permission
-- What a user ($1) may do with all that an owner ($2, $3) has.
SELECT owner_permission($1, $2, $3);

-- name: hold_repository
-- Who owns a repository ($1) that is not deleted, and whether it may be changed; it stays so until the end of the transaction.
-- Not a join: it would not find the owner of a row that it waited for. The name of one that is as new as that is empty.
SELECT r.owner_type, r.owner_id, r.archived OR r.disabled AS read_only,
       coalesce((SELECT o.name FROM owner_identities o
                 WHERE o.owner_type = r.owner_type AND o.owner_id = r.owner_id), '') AS name
FROM repository_identities r
WHERE r.id = $1 AND r.deleted_at IS NULL AND share_repository(r.id)
FOR KEY SHARE OF r;
