-- name: hold_regions
-- Keeps each region what it is until the commit: `forget_region` of the chunk service waits.
SELECT pg_advisory_xact_lock_shared(advisory_key('regions', ''));

-- name: unknown_regions
-- Those of the regions $1 that there are not.
SELECT region FROM unnest($1::text[]) AS region
WHERE region NOT IN (SELECT s.region FROM store_regions s) ORDER BY region;

-- name: count_chunks_outside
-- How many chunks of repository $1 lie in none of the regions $2.
SELECT count_chunks_outside($1, $2::text[]);
