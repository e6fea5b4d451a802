-- name: next_list
-- The next list after one ($1) of a repository that is not deleted, but for those of contents that are being lifted.
SELECT l.id, l.repo_id, l.recipe_hashes, l.released_to, l.taken_to
FROM released_lists l JOIN repository_identities r ON r.id = l.repo_id
WHERE l.id > $1 AND r.deleted_at IS NULL AND NOT is_being_lifted(l.repo_id, l.erased_content)
ORDER BY l.id LIMIT 1;

-- name: next_erasure
-- The next list after one ($1) that is to be erased from repository $2, which is not deleted, and is not being lifted.
SELECT l.id, l.repo_id, l.recipe_hashes, l.released_to, l.taken_to
FROM released_lists l JOIN repository_identities r ON r.id = l.repo_id
WHERE l.id > $1 AND l.repo_id = $2 AND l.erased_content IS NOT NULL AND r.deleted_at IS NULL
  AND NOT is_being_lifted(l.repo_id, l.erased_content)
ORDER BY l.id LIMIT 1;

-- name: pass_chunks
-- Notes that the chunks of a list ($1) are released up to one ($3), and before this up to another one ($2); no row if somebody
-- else has been at it, or its content is being lifted. A lift had taken them up to $4.
UPDATE released_lists SET released_to = $3
WHERE id = $1 AND released_to = $2 AND taken_to IS NOT DISTINCT FROM $4 AND NOT is_being_lifted(repo_id, erased_content)
RETURNING erased_content IS NOT NULL AS is_erased;

-- name: delete_list
-- Takes a list ($1) whose chunks are released up to the last one ($2), which a lift had taken up to $3; no row if somebody else
-- has been at it, or its content is being lifted.
DELETE FROM released_lists
WHERE id = $1 AND released_to = $2 AND taken_to IS NOT DISTINCT FROM $3 AND NOT is_being_lifted(repo_id, erased_content)
RETURNING erased_content IS NOT NULL AS is_erased;

-- name: release_chunks
-- Takes a reference from each of some chunks, in order.
SELECT release_chunks($1, $2::text[], array_fill(1, ARRAY[cardinality($2::text[])]));

-- name: erase_chunks
-- Takes a reference from each of some chunks, in order; what has none then goes at once.
SELECT erase_chunks($1, $2::text[]);
