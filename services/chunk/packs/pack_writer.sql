-- Packs that are not finalized: announced, or abandoned.

-- name: open_pack
-- Announces a pack. Committed before its first byte is written, so that no object is ever unknown.
INSERT INTO packs (key, bucket, region) VALUES ($1, $2, $3);

-- name: abandon_pack
-- Drops an open pack, and not a sealed one.
DELETE FROM packs WHERE key = $1 AND state = 'open';

-- name: queue_object
-- Queues an object unless a pack names it, open or sealed.
INSERT INTO object_deletions (bucket, key, not_before)
SELECT $1, $2, clock_timestamp()
WHERE NOT EXISTS (SELECT FROM packs WHERE key = $2);
