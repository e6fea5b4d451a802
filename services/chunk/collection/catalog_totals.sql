-- What the catalog holds in all.

-- name: allow_time
-- Lets the statements of this transaction take long: there may be many millions of chunks.
SELECT set_config('statement_timeout', '30min', TRUE);

-- name: count_totals
-- Counts all chunks.
SELECT clock_timestamp() AS time,
       count(*) AS chunk_count,
       coalesce(sum(size), 0)::bigint AS uncompressed_bytes,
       coalesce(sum(coalesce(compressed_size, size)), 0)::bigint AS stored_bytes,
       coalesce(sum(coalesce(compressed_size, size)) FILTER (WHERE ref_count > 1), 0)::bigint AS shared_bytes,
       count(lost_at) AS lost_chunk_count,
       count(*) FILTER (WHERE ref_count = 0) AS unreferenced_chunk_count
FROM chunks;

-- name: last_totals
-- What the last collection that has counted all chunks has found; no row if there is none.
SELECT (report -> 'catalog')::text AS totals
FROM maintenance_runs
WHERE kind = 'collect_garbage' AND report ? 'catalog'
ORDER BY started_at DESC
LIMIT 1;
