-- name: record_access
-- Notes that the chunks ($2, packed) were read today, by repository $1. Once a day is enough. It leaves out what another
-- transaction has locked.
WITH hashes AS MATERIALIZED (
    SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex') AS hash FROM generate_series(0, length($2::bytea) / 32 - 1) AS g
), accessed AS MATERIALIZED (
    SELECT hash
    FROM chunks
    WHERE hash = ANY (ARRAY(SELECT hash FROM hashes))
      AND coalesce(last_accessed_at, created_at) < clock_timestamp() - INTERVAL '1 day'
    ORDER BY hash
    FOR NO KEY UPDATE SKIP LOCKED
), noted AS (
    UPDATE chunks c SET last_accessed_at = clock_timestamp()
    WHERE c.hash = ANY (ARRAY(SELECT hash FROM accessed))
), seen AS MATERIALIZED (
    SELECT chunk_hash
    FROM chunk_refs
    WHERE repo_id = $1 AND chunk_hash = ANY (ARRAY(SELECT hash FROM hashes))
      AND last_seen_at < clock_timestamp() - INTERVAL '1 day'
    ORDER BY chunk_hash
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE chunk_refs r SET last_seen_at = clock_timestamp()
WHERE r.repo_id = $1 AND r.chunk_hash = ANY (ARRAY(SELECT chunk_hash FROM seen));
