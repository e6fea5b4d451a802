-- name: pack_usage
-- Up to $3 sealed packs of bucket $1 behind $2, with their bytes and how many of these chunks still name.
SELECT key, bytes, live_bytes FROM pack_usage WHERE bucket = $1 AND key > $2 ORDER BY key LIMIT $3;

-- name: packs_to_erase
-- Looks at up to $3 sealed packs of bucket $1 (NULL = of all) behind $2. Returns the last one (NULL = there are none, or nothing is to be
-- erased), and those that hold bytes of chunks that were obliterated and deleted.
WITH due AS MATERIALIZED (
    SELECT chunk_print(e.chunk_hash) AS print FROM chunk_erasures e
    WHERE e.deleted_at IS NOT NULL AND NOT EXISTS (SELECT FROM chunks c WHERE c.hash = e.chunk_hash OFFSET 0)
), page AS MATERIALIZED (
    SELECT key, prints FROM packs
    WHERE ($1::text IS NULL OR bucket = $1) AND state = 'sealed' AND key > $2 AND EXISTS (SELECT FROM due)
    ORDER BY key LIMIT $3
)
SELECT max(key) AS last,
       coalesce(array_agg(key) FILTER (WHERE EXISTS (
           SELECT FROM unnest(prints) AS d (print) JOIN due USING (print))), '{}') AS keys
FROM page;

-- name: end_erasures
-- No pack holds bytes of the chunks any more that were deleted longer than $1 ago.
UPDATE chunk_erasures SET deleted_at = NULL WHERE deleted_at < statement_timestamp() - $1::interval;
