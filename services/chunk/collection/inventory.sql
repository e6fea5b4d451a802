-- The objects of the stores against the packs of the database.

-- name: count_unknown_objects
-- How many of the objects $2 of bucket $1 no pack names and are not queued.
SELECT count(*)::int
FROM unnest($2::text[]) AS o (key)
WHERE NOT EXISTS (SELECT FROM packs p WHERE p.key = o.key OFFSET 0)
  AND NOT EXISTS (SELECT FROM object_deletions d WHERE d.bucket = $1 AND d.key = o.key OFFSET 0);

-- name: queue_unknown_objects
-- Queues those of the objects $2 of bucket $1 that no pack names and that are not queued, $3 from now; returns their
-- number. The objects were listed before: a pack's row is there before its object.
WITH unknown AS (
    INSERT INTO object_deletions (bucket, key, not_before)
    SELECT $1, o.key, clock_timestamp() + $3::interval
    FROM unnest($2::text[]) AS o (key)
    WHERE NOT EXISTS (SELECT FROM packs p WHERE p.key = o.key OFFSET 0)
      AND NOT EXISTS (SELECT FROM object_deletions d WHERE d.bucket = $1 AND d.key = o.key OFFSET 0)
    RETURNING 1
)
SELECT count(*)::int FROM unknown;

-- name: list_packs
-- Up to $3 sealed packs of bucket $1 behind $2.
SELECT key, bytes FROM packs WHERE bucket = $1 AND key > $2 AND state = 'sealed' ORDER BY key LIMIT $3;

-- name: sealed_packs
-- Which of the packs $1 are there, and sealed.
SELECT key FROM packs WHERE key = ANY ($1::text[]) AND state = 'sealed' ORDER BY key;
