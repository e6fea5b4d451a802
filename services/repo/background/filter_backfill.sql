-- name: commits_without_filter
-- Some commits that have no filter of changed paths, those of one repository together, each with the tree of
-- its first parent.
SELECT c.repo_id, c.hash, c.tree_hash, p.tree_hash AS parent_tree
FROM commits c
LEFT JOIN LATERAL (SELECT tree_hash FROM commits WHERE repo_id = c.repo_id AND hash = c.parent_hashes[1] OFFSET 0) p ON TRUE
WHERE c.changed_paths IS NULL
ORDER BY c.repo_id, c.hash
LIMIT $1;

-- name: store_filters
-- Gives commits their filters.
UPDATE commits c SET changed_paths = d.filter
FROM unnest($2::text[], $3::bytea[]) AS d (hash, filter)
WHERE c.repo_id = $1 AND c.hash = d.hash AND c.changed_paths IS NULL;
