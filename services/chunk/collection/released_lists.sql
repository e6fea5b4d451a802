-- name: next_list
-- The next list after one ($1) of a repository that is not deleted.
SELECT l.id, l.repo_id, l.recipe_hashes
FROM released_lists l JOIN repository_identities r ON r.id = l.repo_id
WHERE l.id > $1 AND r.deleted_at IS NULL
ORDER BY l.id LIMIT 1;

-- name: hold_repository
-- Keeps repository $1 from being deleted until the commit; no row if it was deleted before.
SELECT 1 FROM repository_identities WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE;

-- name: delete_list
-- Takes a list; no row if somebody else has.
DELETE FROM released_lists WHERE id = $1 RETURNING id;

-- name: release_chunks
-- Takes a reference from each of some chunks, in order.
SELECT release_chunks($1, $2::text[], array_fill(1, ARRAY[cardinality($2::text[])]));
