-- name: get_branch
-- One branch ($2; NULL = the default branch).
SELECT name, head_commit, is_default, created_by, created_at, updated_at, protection FROM branches
WHERE repo_id = $1
  AND name = coalesce($2, (SELECT default_branch FROM repositories WHERE id = $1));

-- name: list_branches
-- Branches that begin so, by name, after one. Their protections would be too long: only whether there is one.
SELECT name, head_commit, is_default, created_by, created_at, updated_at, NULL AS protection,
       protection IS NOT NULL AS is_protected
FROM branches
WHERE repo_id = :repository_id AND starts_with(name, :prefix)
  AND (:after::text IS NULL OR name > :after COLLATE "C")
  AND (:shelves OR NOT starts_with(name, 'shelves/'))
ORDER BY name LIMIT :count;
