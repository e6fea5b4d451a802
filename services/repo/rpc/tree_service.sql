-- name: manifest
-- One manifest with its counts; content is zstd.
SELECT content, entry_count, total_size, chunk_count
FROM manifests WHERE repo_id = $1 AND hash = $2;
