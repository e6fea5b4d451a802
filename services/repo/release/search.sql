-- name: draw_number
-- The number of a search: what is condemned from now on has a higher one.
SELECT nextval('manifest_condemnations') AS number;

-- name: list_trees
-- Up to $3 commits after one ($2), with their trees.
SELECT hash, tree_hash FROM commits WHERE repo_id = $1 AND hash > $2::text COLLATE "C" ORDER BY hash LIMIT $3;

-- name: list_manifests
-- Up to $3 manifests after one ($2), with where they stand, and the bytes that are decoded to read them.
SELECT hash, depth, delta_depth, decoded_bytes FROM manifests
WHERE repo_id = $1 AND hash > $2::text COLLATE "C" ORDER BY hash LIMIT $3;
