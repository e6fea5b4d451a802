-- What crashed uploads leave behind: open packs nobody will finalize, objects nobody will name.

-- name: hold_stale_packs
-- Locks up to 1,000 packs that have been open for longer than $1; not those that are being finalized.
SELECT key
FROM packs
WHERE state = 'open' AND created_at < clock_timestamp() - $1::interval
ORDER BY key
LIMIT 1000
FOR UPDATE SKIP LOCKED;

-- name: drop_packs
-- Forgets the open packs $1, whose uploads thereby fail, and queues their objects.
WITH dropped AS (
    DELETE FROM packs WHERE key = ANY ($1::text[]) AND state = 'open' RETURNING bucket, key
)
INSERT INTO object_deletions (bucket, key, not_before)
SELECT bucket, key, clock_timestamp() FROM dropped ORDER BY key;

-- name: due_objects
-- Up to 1,000 objects of bucket $1 that can be deleted, those last that a pack names against all rules.
SELECT d.id, d.key, EXISTS (SELECT FROM packs p WHERE p.key = d.key) AS named
FROM object_deletions d
WHERE d.bucket = $1 AND d.not_before < clock_timestamp()
ORDER BY named, d.not_before, d.id
LIMIT 1000;

-- name: forget_objects
-- Removes the entries $1 of objects that are gone.
DELETE FROM object_deletions WHERE id = ANY ($1::bigint[]);
