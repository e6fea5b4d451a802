-- name: get_repository
-- One repository with its settings, and the right of $2 on it.
SELECT r.id, o.name AS owner, r.name, r.description, r.visibility, r.default_branch, r.archived,
       r.disabled, r.disabled_reason,
       r.created_at, r.updated_at, r.pushed_at, r.deleted_at,
       s.require_lock_for_edit, s.max_file_size_bytes, s.allowed_extensions, s.portable_names, s.lock_patterns, s.on_demand_patterns, s.max_storage_bytes,
       s.regions, s.min_regions, s.replication_seconds,
       coalesce(s.lifecycle_policy, '{}')::text AS lifecycle_policy,
       repository_permission($2, r.id) AS permission
FROM repositories r
JOIN repository_settings s ON s.repo_id = r.id
JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
WHERE r.id = $1 AND r.deleted_at IS NULL;

-- name: list_granted
-- Repositories that a user was given a right on, of all owners, by owner and name, after one of them; :after NULL
-- = from the beginning. :reach holds the only ones that are shown; NULL = all. Fewer if their patterns have more than :bytes.
SELECT l.* FROM (
    SELECT f.*, sum(f.size) OVER (ORDER BY f.owner_key, f.repo_key) AS total
    FROM (
        SELECT o.name_key AS owner_key, lower(r.name) AS repo_key, coalesce(octet_length(array_to_string(s.lock_patterns || s.on_demand_patterns, '')), 0) AS size,
               r.id, o.name AS owner, r.name, r.description, r.visibility, r.default_branch, r.archived,
               r.disabled, r.disabled_reason,
               r.created_at, r.updated_at, r.pushed_at, r.deleted_at,
               s.require_lock_for_edit, s.max_file_size_bytes, s.allowed_extensions, s.portable_names, s.lock_patterns, s.on_demand_patterns, s.max_storage_bytes,
               s.regions, s.min_regions, s.replication_seconds,
               coalesce(s.lifecycle_policy, '{}')::text AS lifecycle_policy, g.level AS permission
        FROM (SELECT repo_id, max(level) AS level FROM granted_permissions(:user_id) GROUP BY repo_id) g
        JOIN repositories r ON r.id = g.repo_id
        JOIN repository_settings s ON s.repo_id = r.id
        JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
        WHERE r.deleted_at IS NULL
          AND (:reach::uuid[] IS NULL OR r.id = ANY (:reach))
          AND NOT (r.owner_type = 'organization' AND r.owner_id = ANY (:refused_by::uuid[]))
          AND (:after::text IS NULL OR (o.name_key, lower(r.name)) > (:after_owner::text COLLATE "C", :after COLLATE "C"))
        ORDER BY o.name_key, lower(r.name)
        LIMIT :count
    ) f
) l
WHERE l.total - l.size <= :bytes
ORDER BY l.owner_key, l.repo_key;

-- name: list_of_owner
-- Repositories of one owner that a user may see, by name, after one name; :after NULL = from the beginning.
-- :reach holds the only ones that are shown; NULL = all. Fewer if their patterns have more than :bytes.
SELECT l.* FROM (
    SELECT f.*, sum(f.size) OVER (ORDER BY f.repo_key) AS total
    FROM (
        SELECT lower(r.name) AS repo_key, coalesce(octet_length(array_to_string(s.lock_patterns || s.on_demand_patterns, '')), 0) AS size,
               r.id, o.name AS owner, r.name, r.description, r.visibility, r.default_branch, r.archived,
               r.disabled, r.disabled_reason,
               r.created_at, r.updated_at, r.pushed_at, r.deleted_at,
               s.require_lock_for_edit, s.max_file_size_bytes, s.allowed_extensions, s.portable_names, s.lock_patterns, s.on_demand_patterns, s.max_storage_bytes,
               s.regions, s.min_regions, s.replication_seconds,
               coalesce(s.lifecycle_policy, '{}')::text AS lifecycle_policy,
               repository_permission(:user_id, r.id) AS permission
        FROM repositories r
        JOIN repository_settings s ON s.repo_id = r.id
        JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
        WHERE r.owner_type = :owner_type AND r.owner_id = :owner_id AND r.deleted_at IS NULL
          AND (:reach::uuid[] IS NULL OR r.id = ANY (:reach))
          AND (r.visibility = 'public' OR NOT r.owner_id = ANY (:refused_by::uuid[]))
          AND repository_permission(:user_id, r.id) > 0
          AND (:after::text IS NULL OR lower(r.name) > :after COLLATE "C")
        ORDER BY lower(r.name)
        LIMIT :count
    ) f
) l
WHERE l.total - l.size <= :bytes
ORDER BY l.repo_key;

-- name: list_deleted
-- Deleted repositories of an owner that are not purged yet, the last deleted first, before one; :before NULL = from the
-- beginning. Fewer if their patterns have more than :bytes.
SELECT l.* FROM (
    SELECT f.*, sum(f.size) OVER (ORDER BY f.deleted_at DESC, f.id DESC) AS total
    FROM (
        SELECT coalesce(octet_length(array_to_string(s.lock_patterns || s.on_demand_patterns, '')), 0) AS size,
               r.id, o.name AS owner, r.name, r.description, r.visibility, r.default_branch, r.archived, r.disabled,
               r.disabled_reason, r.created_at, r.updated_at, r.pushed_at, r.deleted_at,
               s.require_lock_for_edit, s.max_file_size_bytes, s.allowed_extensions, s.portable_names, s.lock_patterns, s.on_demand_patterns, s.max_storage_bytes,
               s.regions, s.min_regions, s.replication_seconds,
               coalesce(s.lifecycle_policy, '{}')::text AS lifecycle_policy,
               :permission::int AS permission
        FROM repositories r
        JOIN repository_settings s ON s.repo_id = r.id
        JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
        WHERE r.owner_type = :owner_type AND r.owner_id = :owner_id
          AND r.deleted_at > clock_timestamp() - interval '30 days' AND r.purge_started_at IS NULL
          AND (:before::timestamptz IS NULL OR (r.deleted_at, r.id) < (:before, :before_id::uuid))
        ORDER BY r.deleted_at DESC, r.id DESC
        LIMIT :count
    ) f
) l
WHERE l.total - l.size <= :bytes
ORDER BY l.deleted_at DESC, l.id DESC;
