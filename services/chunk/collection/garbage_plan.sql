-- What a collection would do now.

-- name: allow_time
-- Lets the statements of this transaction take long: there may be many millions of chunks.
SELECT set_config('statement_timeout', '30min', TRUE);

-- name: count_ended_claims
-- How many claims were last renewed before $1, up to $2.
SELECT count(*) FROM (SELECT FROM chunk_refs WHERE claimed_at < $1 LIMIT $2) AS ended;

-- name: count_chunks
-- How many chunks there are.
SELECT count(*) FROM chunks;

-- name: count_dead_chunks
-- The chunks whose grace ended by $1, the first $2 of them (NULL = all), those of them that were obliterated, their stored
-- bytes, and the packs in which nothing else is.
WITH dead AS (
    SELECT hash, pack_key, coalesce(compressed_size, size) AS stored
    FROM chunks WHERE delete_after < $1 ORDER BY delete_after LIMIT $2
), named AS (
    SELECT pack_key, count(*) AS count
    FROM (SELECT pack_key FROM dead
          UNION ALL
          SELECT l.pack_key FROM dead d JOIN chunk_locations l ON l.chunk_hash = d.hash) AS rows
    GROUP BY pack_key
), freed AS (
    SELECT p.bytes FROM named n JOIN packs p ON p.key = n.pack_key AND p.live = n.count
)
SELECT (SELECT count(*) FROM dead) AS chunks,
       (SELECT count(*) FROM chunk_erasures e JOIN dead d ON d.hash = e.chunk_hash) AS erased,
       (SELECT coalesce(sum(stored), 0)::bigint FROM dead) AS bytes,
       (SELECT count(*) FROM freed) AS packs,
       (SELECT coalesce(sum(bytes), 0)::bigint FROM freed) AS pack_bytes;

-- name: count_queued_objects
-- The objects that wait for their deletion, their bytes, and when the last one is due.
SELECT count(*) AS count, coalesce(sum(bytes), 0)::bigint AS bytes, max(not_before) AS last FROM object_deletions;

-- name: forecast_chunks
-- The chunks whose grace ends after $1, the first $2 of them: for each day, how many there are, and their stored bytes.
SELECT date_bin('1 day', delete_after, $1) + INTERVAL '1 day' AS time,
       count(*) AS chunks, sum(coalesce(compressed_size, size))::bigint AS bytes
FROM (SELECT delete_after, compressed_size, size FROM chunks WHERE delete_after >= $1 ORDER BY delete_after LIMIT $2) AS later
GROUP BY 1
ORDER BY 1;
