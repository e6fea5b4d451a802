-- name: take_turn
-- Makes deletions of branches of a repository follow one another: each then sees which branches are left.
SELECT pg_advisory_xact_lock(advisory_key('branch deletions', $1::uuid::text));

-- name: delete_branch
-- Removes a branch that is locked and known to be where it should.
DELETE FROM branches WHERE repo_id = $1 AND name = $2;

-- name: rename_branch
-- Gives a branch that is locked another name.
UPDATE branches SET name = $3 WHERE repo_id = $1 AND name = $2
RETURNING name, head_commit, is_default, created_by, created_at, updated_at, protection;

-- name: rename_default_branch
-- Makes the repository say the new name of its default branch.
UPDATE repositories SET default_branch = $3 WHERE id = $1 AND default_branch = $2;
