-- name: granted_rights
-- What a user ($1) was given on each of some repositories, but for those of some organisations ($3).
SELECT repo_id AS id, max(level) AS permission FROM granted_permissions($1) WHERE repo_id = ANY ($2::uuid[])
  AND NOT EXISTS (SELECT FROM repositories r WHERE r.id = repo_id
                  AND r.owner_type = 'organization' AND r.owner_id = ANY ($3::uuid[]))
GROUP BY repo_id;

-- name: rights_on_owned
-- The right of a user ($1) on each of some repositories, those of one owner.
SELECT id, repository_permission($1, id) AS permission FROM repositories
WHERE id = ANY ($2::uuid[]) AND owner_type = $3 AND owner_id = $4 AND deleted_at IS NULL;
