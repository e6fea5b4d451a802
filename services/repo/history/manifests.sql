-- name: manifests
-- Some manifests; content is zstd.
SELECT hash, content FROM manifests WHERE repo_id = $1 AND hash = ANY ($2::text[]);
