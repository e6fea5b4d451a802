-- name: default_head
-- Where the default branch is.
SELECT b.head_commit
FROM repositories r JOIN branches b ON b.repo_id = r.id AND b.name = r.default_branch
WHERE r.id = $1;
