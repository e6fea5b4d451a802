-- name: get_branch
-- One branch ($2; NULL = the default branch).
SELECT name, head_commit, is_default, created_by, created_at, updated_at FROM branches
WHERE repo_id = $1
  AND name = coalesce($2, (SELECT default_branch FROM repositories WHERE id = $1));

-- name: list_branches
-- Branches that begin with $2, by name, after $3.
SELECT name, head_commit, is_default, created_by, created_at, updated_at FROM branches
WHERE repo_id = $1 AND starts_with(name, $2) AND ($3::text IS NULL OR name > $3 COLLATE "C")
ORDER BY name LIMIT $4;
