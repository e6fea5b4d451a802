-- Open packs that no upload will finalize.

-- name: hold_stale_packs
-- Locks up to 1,000 packs that have been open for longer than $1, without those that are being finalized.
SELECT key
FROM packs
WHERE state = 'open' AND created_at < statement_timestamp() - $1::interval
ORDER BY key
LIMIT 1000
FOR UPDATE SKIP LOCKED;

-- name: drop_packs
-- Drops the open packs $1, so that their uploads fail, and queues their objects.
WITH dropped AS (
    DELETE FROM packs WHERE key = ANY ($1::text[]) AND state = 'open' RETURNING bucket, key
)
INSERT INTO object_deletions (bucket, key, not_before)
SELECT bucket, key, clock_timestamp() FROM dropped ORDER BY key;
