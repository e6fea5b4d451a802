-- name: branches
-- Some branches, without a lock.
SELECT name, head_commit, is_default, created_by, created_at, updated_at, protection FROM branches
WHERE repo_id = $1 AND name = ANY ($2::text[]);

-- name: lock_branches
-- Locks some branches, in order, and returns them.
SELECT name, head_commit, is_default, created_by, created_at, updated_at, protection FROM branches
WHERE repo_id = $1 AND name = ANY ($2::text[])
ORDER BY name FOR UPDATE;

-- name: insert_branches
-- Creates those of some branches that do not exist, in order.
INSERT INTO branches (repo_id, name, head_commit, created_from, created_by, is_default)
SELECT r.id, d.name, d.head, d.head, :user_id, r.default_branch = d.name
FROM repositories r, unnest(:names::text[], :heads::text[]) AS d (name, head)
WHERE r.id = :repository_id
ORDER BY d.name COLLATE "C"
ON CONFLICT (repo_id, name) DO NOTHING
RETURNING name, head_commit, is_default, created_by, created_at, updated_at, protection;

-- name: move_branches
-- Moves branches that are locked and known to be where they should.
UPDATE branches b SET head_commit = d.head
FROM unnest($2::text[], $3::text[]) AS d (name, head)
WHERE b.repo_id = $1 AND b.name = d.name
RETURNING b.name, b.head_commit, b.is_default, b.created_by, b.created_at, b.updated_at, b.protection;

-- name: count_branches
-- Adds $2 to the repository's number of branches.
UPDATE repository_stats SET branch_count = branch_count + $2 WHERE repo_id = $1;
