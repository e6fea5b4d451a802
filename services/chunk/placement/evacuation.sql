-- What lies in a region goes to others.

-- name: count_wanting
-- How many repositories want their chunks in region $1.
SELECT count(*)::int FROM repository_regions WHERE $1 = ANY (regions);

-- name: list_packs
-- Up to $3 sealed packs of region $1, with its tiers, behind $2.
SELECT key FROM packs WHERE region = $1 AND key > $2 AND state = 'sealed' ORDER BY key LIMIT $3;

-- name: count_left
-- How many packs of region $1 there are, open ones too, and how many objects wait for their deletion.
SELECT (SELECT count(*)::int FROM packs WHERE region = $1) AS packs,
       (SELECT count(*)::int FROM object_deletions WHERE split_part(bucket, '.', 1) = $1) AS objects;

-- name: hold_regions
-- Lets no repository choose regions until the commit, and waits for those that are choosing.
SELECT pg_advisory_xact_lock(advisory_key('regions', ''));

-- name: forget_region
-- Region $1, with its tiers, is none any more, unless something lies there, waits for its deletion, or is wanted there; no row then.
DELETE FROM stores
WHERE split_part(bucket, '.', 1) = $1
  AND NOT EXISTS (SELECT FROM packs WHERE region = $1)
  AND NOT EXISTS (SELECT FROM object_deletions WHERE split_part(bucket, '.', 1) = $1)
  AND NOT EXISTS (SELECT FROM repository_regions WHERE $1 = ANY (regions))
RETURNING bucket;

-- name: without_copies
-- Those of the chunks $1 that lie nowhere but at home.
SELECT c.hash FROM chunks c
WHERE c.hash = ANY ($1::text[]) AND NOT EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = c.hash);

-- name: hold_chunks
-- Locks those of the chunks $1 that are not lost: of these any copy may be the last.
SELECT hash FROM chunks WHERE hash = ANY ($1::text[]) AND lost_at IS NULL ORDER BY hash FOR NO KEY UPDATE;

-- name: leave_homes
-- Of those of the chunks $1, which are locked, whose home copy lies in region $2: makes another copy the home, that in region $3 if
-- there is one. Returns the packs that lost a row that way, and how many. The row of the copy goes, so the number of rows that
-- name its pack stays.
WITH better AS MATERIALIZED (
    SELECT DISTINCT ON (c.hash) c.hash, c.pack_key AS old_key, l.region, l.bucket, l.storage_key
    FROM chunks c JOIN chunk_locations l ON l.chunk_hash = c.hash
    WHERE c.hash = ANY ($1::text[]) AND split_part(c.storage_bucket, '.', 1) = $2 AND l.region <> $2
    ORDER BY c.hash, l.region <> $3, l.replicated_at
), gone AS (
    DELETE FROM chunk_locations l USING better b WHERE l.chunk_hash = b.hash AND l.region = b.region
), moved AS (
    UPDATE chunks c SET storage_bucket = b.bucket, storage_key = b.storage_key, storage_class = 'standard', archived_at = NULL
    FROM better b WHERE c.hash = b.hash
    RETURNING b.old_key, coalesce(c.compressed_size, c.size) AS stored
)
SELECT old_key AS pack_key, count(*)::int AS count, sum(stored)::bigint AS bytes FROM moved GROUP BY old_key;

-- name: drop_copies
-- Drops the copies of the chunks $1, which are locked, in region $2; returns their packs, and how many each had.
WITH dropped AS (
    DELETE FROM chunk_locations WHERE chunk_hash = ANY ($1::text[]) AND region = $2 RETURNING pack_key
)
SELECT pack_key, count(*)::int AS count FROM dropped GROUP BY pack_key;
