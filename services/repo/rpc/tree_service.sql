-- name: manifest
-- One manifest with its counts; content is zstd.
SELECT hash, content, entry_count, total_size, chunk_count
FROM manifests WHERE repo_id = $1 AND hash = $2;

-- name: directory_counts
-- Recursive counts of some directories.
SELECT hash, total_size, chunk_count FROM manifests WHERE repo_id = $1 AND hash = ANY ($2::text[]);

-- name: chunk_counts
-- Numbers of chunks of some file contents.
SELECT hash, chunk_count FROM assets WHERE repo_id = $1 AND hash = ANY ($2::text[]);
