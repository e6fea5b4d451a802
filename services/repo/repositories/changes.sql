-- name: update_repository
-- Changes what is not NULL. A unique violation means that the name is taken.
UPDATE repositories
SET name = coalesce(:name, name),
    description = coalesce(:description, description),
    visibility = coalesce(:visibility, visibility),
    default_branch = coalesce(:default_branch, default_branch),
    archived = coalesce(:archived, archived)
WHERE id = :id;

-- name: set_disabled
-- Says whether the operator keeps a repository read-only, and why.
UPDATE repositories SET disabled = $2, disabled_reason = $3 WHERE id = $1;

-- name: find_branches
-- Whether a repository has any branch, and one of this name.
SELECT EXISTS (SELECT FROM branches WHERE repo_id = $1) AS has_branches,
       EXISTS (SELECT FROM branches WHERE repo_id = $1 AND name = $2) AS has_branch;

-- name: clear_default
-- The default branch is one like the others.
UPDATE branches SET is_default = false WHERE repo_id = $1 AND is_default;

-- name: set_default
-- A branch is the default one, if it exists.
UPDATE branches SET is_default = true WHERE repo_id = $1 AND name = $2;
