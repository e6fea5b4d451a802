-- name: branch_tip
-- Commit and tree that a branch ($2; NULL = the default branch) is at.
SELECT c.hash, c.tree_hash
FROM branches b JOIN commits c ON c.repo_id = b.repo_id AND c.hash = b.head_commit
WHERE b.repo_id = $1
  AND b.name = coalesce($2, (SELECT default_branch FROM repositories WHERE id = $1));

-- name: commit_tree
-- A commit and its tree.
SELECT hash, tree_hash FROM commits WHERE repo_id = $1 AND hash = $2;
