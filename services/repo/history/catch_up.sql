-- name: default_head
-- Commit and tree of the default branch, unless this transaction has made it.
SELECT c.hash, c.tree_hash
FROM repositories r
JOIN branches b ON b.repo_id = r.id AND b.name = r.default_branch
JOIN commits c ON c.repo_id = b.repo_id AND c.hash = b.head_commit
WHERE r.id = $1 AND b.created_at < now();
