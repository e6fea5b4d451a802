-- name: branch_head
-- The commit that a branch is at; NULL if there is none.
SELECT branch_head($1, $2);
