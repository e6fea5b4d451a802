-- name: find_due
-- Up to $2 repositories that a ref left $1 ago, or of which commits went, and that are not deleted.
SELECT r.id AS repo_id FROM repositories r
WHERE r.deleted_at IS NULL AND r.id IN (
    SELECT repo_id FROM former_heads WHERE left_at <= statement_timestamp() - $1::interval
    UNION ALL
    SELECT repo_id FROM released_histories)
ORDER BY r.id
LIMIT $2;

-- name: release_commits
-- Looks at up to $3 commits that a ref left $2 ago, and deletes those that nothing names.
SELECT looked, released FROM release_commits($1, $2, $3);

-- name: read_release_time
-- When commits of the repository went last.
SELECT released_at FROM released_histories WHERE repo_id = $1;

-- name: forget_release
-- Forgets that commits of the repository went, unless others have gone since $2.
DELETE FROM released_histories WHERE repo_id = $1 AND released_at = $2;
