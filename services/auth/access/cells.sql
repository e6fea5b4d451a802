-- The cells of owners.

-- name: cell_of_user
-- The cell that holds the repositories of user $1.
SELECT cell FROM namespaces WHERE owner_type = 'user' AND owner_id = $1;
