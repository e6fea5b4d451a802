-- name: find_permission
-- What a user ($1) may do with all that an owner ($2, $3) has.
SELECT owner_permission($1, $2, $3);
