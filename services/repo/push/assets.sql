-- name: insert_assets
-- Adds the file contents that are new, and returns them; those that are there are locked and left as they are. Columns come
-- as text with commas, names with slashes: arrays cost the service several times the CPU time.
WITH mine AS (
    INSERT INTO assets (repo_id, hash, size, mime_type, file_name, chunk_count, ref_count, recipe_hash)
    SELECT :repository_id, d.hash, d.size, d.mime, d.name, d.chunks, d.n, d.recipe
    FROM unnest(string_to_array(:hashes, ','), string_to_array(:sizes, ',')::bigint[],
                string_to_array(:mime_types, ',', ''), string_to_array(:file_names, '/'),
                string_to_array(:chunk_counts, ',')::int[], string_to_array(:ref_counts, ',')::int[],
                string_to_array(:recipe_hashes, ','))
         AS d (hash, size, mime, name, chunks, n, recipe)
    ORDER BY d.hash
    ON CONFLICT (repo_id, hash) DO UPDATE SET ref_count = assets.ref_count WHERE false
    RETURNING hash
)
SELECT coalesce(array_agg(hash), '{}') AS hashes FROM mine;

-- name: count_assets
-- Counts new uses ($3) of contents ($2) that were there before, under their names ($4); as in insert_assets.
UPDATE assets a
SET ref_count = a.ref_count + d.n, last_seen_at = clock_timestamp(), file_name = d.name
FROM unnest(string_to_array($2, ','), string_to_array($3, ',')::int[], string_to_array($4, '/')) AS d (hash, n, name)
WHERE a.repo_id = $1 AND a.hash = d.hash
RETURNING a.hash, a.recipe_hash;

-- name: reference_chunks
-- Locks and counts the chunks of new contents; returns those that the repository does not hold, and if there are none
-- those whose size is not the one that a file claims. Columns come as text with commas.
SELECT missing, missized
FROM reference_chunks($1, string_to_array($2, ','), string_to_array($3, ',')::int[], string_to_array($4, ',')::int[]);

-- name: count_below_regions
-- How many of the chunks $2, with commas, of repository $1 are in fewer than $3 regions.
SELECT count(*)::int FROM chunks_below_regions($1, string_to_array($2, ','), $3);
