-- Packs that are not finalized: announced, or abandoned.

-- name: open_pack
-- Announces a pack. Committed before its first byte is written, so that no object is ever unknown. No row if the store $4 is that
-- of its bucket no more; NULL = whichever it is.
INSERT INTO packs (key, bucket, region)
SELECT $1, $2, $3 WHERE $4::uuid IS NULL OR EXISTS (SELECT FROM stores WHERE bucket = $2 AND id = $4)
RETURNING 1;

-- name: abandon_pack
-- Drops an open pack, and not a sealed one.
DELETE FROM packs WHERE key = $1 AND state = 'open';

-- name: queue_object
-- Queues an object unless a pack names it, open or sealed.
INSERT INTO object_deletions (bucket, key, not_before)
SELECT $1, $2, clock_timestamp()
WHERE NOT EXISTS (SELECT FROM packs WHERE key = $2);
