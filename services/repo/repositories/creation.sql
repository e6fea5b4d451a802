-- name: insert_repository
-- A new repository; repositories_owner_name_key means that the name is taken.
INSERT INTO repositories (name, description, owner_type, owner_id, visibility, default_branch,
                          storage_bucket, storage_region)
VALUES (:name, :description, :owner_type, :owner_id, :visibility, :default_branch, :region, :region)
RETURNING id;

-- name: insert_settings
-- The rules for pushes of a new repository.
INSERT INTO repository_settings (repo_id, require_lock_for_edit, max_file_size_bytes, allowed_extensions,
                                 portable_names)
VALUES (:repository_id, :must_lock, :max_file_bytes, :extensions, :portable_names);

-- name: insert_stats
-- The counters of a new repository, all zero.
INSERT INTO repository_stats (repo_id) VALUES ($1);
