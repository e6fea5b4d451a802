-- name: lock_repository
-- The repository's rules for changes; it stays there until the end of the transaction.
SELECT r.archived OR r.disabled AS read_only,
       s.require_lock_for_edit, s.max_file_size_bytes, s.allowed_extensions, s.portable_names
FROM repositories r JOIN repository_settings s ON s.repo_id = r.id
WHERE r.id = $1 AND r.deleted_at IS NULL
FOR KEY SHARE OF r;
