-- name: branches
-- Some branches, without a lock.
SELECT name, head_commit, is_default, created_by, created_at, updated_at FROM branches
WHERE repo_id = $1 AND name = ANY ($2::text[]);

-- name: lock_branches
-- Locks some branches, in order, and returns them.
SELECT name, head_commit, is_default, created_by, created_at, updated_at, protection FROM branches
WHERE repo_id = $1 AND name = ANY ($2::text[])
ORDER BY name FOR UPDATE;

-- name: default_branch
-- The name of the default branch.
SELECT default_branch FROM repositories WHERE id = $1;

-- name: insert_branch
-- Creates a branch unless it exists.
INSERT INTO branches (repo_id, name, head_commit, created_from, created_by, is_default)
SELECT $1, $2, $3, $3, $4, r.default_branch = $2 FROM repositories r WHERE r.id = $1
ON CONFLICT (repo_id, name) DO NOTHING
RETURNING name, head_commit, is_default, created_by, created_at, updated_at;

-- name: move_branch
-- Moves a branch that is locked and known to be where it should.
UPDATE branches SET head_commit = $3 WHERE repo_id = $1 AND name = $2
RETURNING name, head_commit, is_default, created_by, created_at, updated_at;

-- name: delete_branch
-- Removes a branch that is locked and known to be where it should.
DELETE FROM branches WHERE repo_id = $1 AND name = $2;

-- name: count_branches
-- Adds $2 to the repository's number of branches.
UPDATE repository_stats SET branch_count = branch_count + $2 WHERE repo_id = $1;
