-- name: release_assets
-- Takes $3 directories from the contents $2, in order; returns those that go, because none has them any more, and which are obliterated.
SELECT hash, size, is_obliterated FROM release_assets($1, $2::text[], $3::int[]);

-- name: release_chunks
-- Takes references from chunks, in order.
SELECT release_chunks($1, $2::text[], $3::int[]);

-- name: release_lists
-- Releases the chunks of large files, which have yet to be read from their recipes.
SELECT release_lists($1, $2::bytea[]);

-- name: count_released
-- Subtracts contents ($2) and their bytes ($3) from the counters of the repository.
UPDATE repository_stats SET file_count = file_count - $2, logical_bytes = logical_bytes - $3 WHERE repo_id = $1;
