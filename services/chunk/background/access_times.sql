-- name: record_access
-- Notes that the chunks ($1, packed) were read today. Once a day is enough. It leaves out a chunk that
-- another transaction has locked.
WITH accessed AS MATERIALIZED (
    SELECT hash
    FROM chunks
    WHERE hash = ANY (ARRAY(
        SELECT encode(substr($1::bytea, g * 32 + 1, 32), 'hex')
        FROM generate_series(0, length($1::bytea) / 32 - 1) AS g))
      AND coalesce(last_accessed_at, created_at) < clock_timestamp() - INTERVAL '1 day'
    ORDER BY hash
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE chunks c SET last_accessed_at = clock_timestamp() FROM accessed WHERE c.hash = accessed.hash;
