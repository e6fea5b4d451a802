-- name: insert_settings
-- The rules for pushes of a new repository.
INSERT INTO repository_settings (repo_id, require_lock_for_edit, max_file_size_bytes, allowed_extensions,
                                 portable_names, lock_patterns, on_demand_patterns, max_storage_bytes, lifecycle_policy,
                                 regions, min_regions, replication_seconds)
VALUES (:repository_id, :require_lock_for_edit, :max_file_size_bytes, :allowed_extensions, :portable_names,
        :lock_patterns, :on_demand_patterns, :max_storage_bytes, :lifecycle_policy::jsonb, :regions, :min_regions,
        :replication_seconds);

-- name: get_settings
-- The rules for pushes of a repository.
SELECT require_lock_for_edit, max_file_size_bytes, allowed_extensions, portable_names, lock_patterns,
       on_demand_patterns, max_storage_bytes, coalesce(lifecycle_policy, '{}')::text AS lifecycle_policy,
       regions, min_regions, replication_seconds
FROM repository_settings WHERE repo_id = $1;

-- name: update_settings
-- Changes the rules that are not NULL.
UPDATE repository_settings
SET require_lock_for_edit = coalesce(:require_lock_for_edit, require_lock_for_edit),
    max_file_size_bytes = coalesce(:max_file_size_bytes, max_file_size_bytes),
    allowed_extensions = coalesce(:allowed_extensions, allowed_extensions),
    portable_names = coalesce(:portable_names, portable_names),
    lock_patterns = coalesce(:lock_patterns, lock_patterns),
    on_demand_patterns = coalesce(:on_demand_patterns, on_demand_patterns),
    max_storage_bytes = coalesce(:max_storage_bytes, max_storage_bytes),
    lifecycle_policy = coalesce(:lifecycle_policy::jsonb, lifecycle_policy),
    regions = coalesce(:regions, regions),
    min_regions = coalesce(:min_regions, min_regions),
    replication_seconds = coalesce(:replication_seconds, replication_seconds)
WHERE repo_id = :repository_id;

-- name: touch_repository
-- Says that the repository itself has changed.
UPDATE repositories SET settings = settings WHERE id = $1;
