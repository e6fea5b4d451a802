-- name: insert_assets
-- Adds the file contents that are new; those that are there are locked and left as they are.
INSERT INTO assets (repo_id, hash, size, mime_type, file_name, chunk_count, ref_count, recipe_hash)
SELECT :repository_id, d.hash, d.size, d.mime, d.name, d.chunks, d.n, d.recipe
FROM unnest(:hashes::text[], :sizes::bigint[], :mime_types::text[], :file_names::text[],
            :chunk_counts::int[], :ref_counts::int[], :recipe_hashes::text[])
     AS d (hash, size, mime, name, chunks, n, recipe)
ORDER BY d.hash
ON CONFLICT (repo_id, hash) DO UPDATE SET ref_count = assets.ref_count WHERE false
RETURNING hash;

-- name: count_assets
-- Counts new uses of contents that were there before.
UPDATE assets a
SET ref_count = a.ref_count + d.n, last_seen_at = clock_timestamp(), file_name = d.name
FROM unnest($2::text[], $3::int[], $4::text[]) AS d (hash, n, name)
WHERE a.repo_id = $1 AND a.hash = d.hash
RETURNING a.hash, a.recipe_hash;

-- name: reference_chunks
-- Locks and counts the chunks of new contents; returns those that the repository does not hold, and if there are none
-- those whose size is not the one that a file claims.
SELECT missing, missized FROM reference_chunks($1, $2::text[], $3::int[], $4::int[]);

-- name: count_below_regions
-- How many of the chunks $2 of repository $1 are in fewer than $3 regions.
SELECT count(*)::int FROM chunks_below_regions($1, $2::text[], $3);
