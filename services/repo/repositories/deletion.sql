-- name: delete_repository
-- Deletes a repository that is locked; its rows stay until the purge.
UPDATE repositories SET deleted_at = clock_timestamp() WHERE id = $1 RETURNING deleted_at;

-- name: delete_transfer
-- Ends the request that it goes to another owner.
DELETE FROM repository_transfers WHERE repo_id = $1;

-- name: undelete_repository
-- Brings a repository back under a name. A unique violation means that it is taken.
UPDATE repositories SET deleted_at = NULL, name = $2 WHERE id = $1;
