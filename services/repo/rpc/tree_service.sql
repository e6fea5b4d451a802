-- name: manifest_counts
-- What lies below one manifest.
SELECT entry_count, total_size, chunk_count FROM manifests WHERE repo_id = $1 AND hash = $2;
