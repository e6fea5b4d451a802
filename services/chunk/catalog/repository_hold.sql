-- name: hold_repository
-- Keeps repository $1 from being deleted until the commit; no row if it was deleted before.
SELECT 1 FROM repository_identities WHERE id = $1 AND deleted_at IS NULL AND share_repository(id) FOR KEY SHARE;
