-- name: lock_branch
-- A branch ($2; NULL = the default branch), locked.
SELECT name, head_commit, is_default, created_by, created_at, updated_at, protection FROM branches
WHERE repo_id = $1 AND name = coalesce($2, (SELECT default_branch FROM repositories WHERE id = $1))
FOR UPDATE;

-- name: set_protection
-- Replaces the protection of a branch.
UPDATE branches SET protection = $3::text::jsonb WHERE repo_id = $1 AND name = $2
RETURNING name, head_commit, is_default, created_by, created_at, updated_at, protection;

-- name: find_unknown_users
-- Those of some ids that are no users'.
SELECT id FROM unnest($1::uuid[]) id WHERE id NOT IN (SELECT u.id FROM user_identities u WHERE u.id = ANY ($1::uuid[]));

-- name: find_unknown_teams
-- Those of the ids $2 that are no teams' of the organisation that owns a repository.
SELECT id FROM unnest($2::uuid[]) id
WHERE id NOT IN (
    SELECT t.id FROM repositories r JOIN teams t ON t.org_id = r.owner_id
    WHERE r.id = $1 AND r.owner_type = 'organization' AND t.id = ANY ($2::uuid[])
);
