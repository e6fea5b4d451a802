-- name: ref_tip
-- Commit and tree that a branch ($2; NULL = the default branch) is at, or a tag if there is no such branch.
SELECT hash, tree_hash
FROM commits
WHERE repo_id = $1 AND hash = coalesce(
    (SELECT head_commit FROM branches
     WHERE repo_id = $1 AND name = coalesce($2, (SELECT default_branch FROM repositories WHERE id = $1))),
    (SELECT commit_hash FROM tags WHERE repo_id = $1 AND name = $2));

-- name: commit_tree
-- A commit and its tree.
SELECT hash, tree_hash FROM commits WHERE repo_id = $1 AND hash = $2;

-- name: commits_by_prefix
-- Up to two commits whose hashes begin with $2.
SELECT hash, tree_hash FROM commits WHERE repo_id = $1 AND hash >= $2 AND hash < $2 || 'g' ORDER BY hash LIMIT 2;
