-- name: directory_totals
-- Size and number of chunks of all that is below some directories.
SELECT hash, total_size, chunk_count FROM manifests WHERE repo_id = $1 AND hash = ANY ($2::text[]);

-- name: chunk_counts
-- Numbers of chunks of some file contents.
SELECT hash, chunk_count FROM assets WHERE repo_id = $1 AND hash = ANY ($2::text[]);

-- name: obliterated
-- Those of some file contents that were obliterated, and why.
SELECT hash, reason FROM obliterations WHERE repo_id = $1 AND hash = ANY ($2::text[]);
