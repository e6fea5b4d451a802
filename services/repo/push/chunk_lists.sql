-- name: known_lists
-- The chunk lists of those contents that the repository has.
SELECT hash, recipe_hash, chunk_count FROM assets WHERE repo_id = $1 AND hash = ANY ($2::text[]);
