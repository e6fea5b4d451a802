-- name: lock
-- Makes changes of a repository follow one another; pushes go on.
SELECT FROM repositories WHERE id = $1 AND share_repository(id) FOR NO KEY UPDATE;

-- name: lock_alone
-- Waits for pushes and uploads, too.
SELECT FROM repositories WHERE id = $1 AND close_repository(id) FOR UPDATE;

-- name: get_held
-- A repository that is locked, with its owner, and what the user ($2) may do with all that the owner has. is_lost: it is
-- deleted and cannot be brought back.
SELECT r.id, r.name, r.description, r.visibility, r.default_branch, r.archived, r.disabled, r.disabled_reason,
       r.deleted_at, r.owner_type, r.owner_id, o.name AS owner, o.cell,
       owner_permission($2, r.owner_type, r.owner_id) AS permission,
       r.purge_started_at IS NOT NULL OR coalesce(r.deleted_at <= clock_timestamp() - interval '30 days', false)
           AS is_lost
FROM repositories r
JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
WHERE r.id = $1;
