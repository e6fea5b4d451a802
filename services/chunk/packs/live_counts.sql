-- How many rows name each sealed pack. A pack that no row names goes, and its object is queued.

-- name: hold_packs
-- G5. Locks the packs $1.
SELECT key FROM packs WHERE key = ANY ($1::text[]) ORDER BY key FOR UPDATE;

-- name: drop_emptied_packs
-- G6. Drops those of the packs $1 that had just the $2 rows that are gone, and queues their objects for the time when
-- the last reader has left, $3 from now.
WITH dropped AS (
    DELETE FROM packs p
    USING unnest($1::text[], $2::int[]) AS d (key, count)
    WHERE p.key = ANY ($1) AND p.key = d.key AND p.live = d.count
    RETURNING p.bucket, p.key, p.bytes
), queued AS (
    INSERT INTO object_deletions (bucket, key, bytes, not_before)
    SELECT bucket, key, bytes, clock_timestamp() + $3::interval FROM dropped ORDER BY key
)
SELECT count(*)::int AS packs, coalesce(sum(bytes), 0)::bigint AS bytes FROM dropped;

-- name: lower_live_counts
-- G7. Subtracts the rows that are gone, $2, from the packs $1 that have others; returns the number of these packs.
WITH lowered AS (
    UPDATE packs p
    SET live = p.live - d.count
    FROM unnest($1::text[], $2::int[]) AS d (key, count)
    WHERE p.key = ANY ($1) AND p.key = d.key AND p.live > d.count
    RETURNING 1
)
SELECT count(*)::int FROM lowered;

-- name: recount_packs
-- Counts the rows that name the packs $1 again, of those that some row names.
WITH n AS MATERIALIZED (
    SELECT k.key,
           (SELECT count(*)::int FROM chunks c WHERE c.pack_key = k.key)
           + (SELECT count(*)::int FROM chunk_locations l WHERE l.pack_key = k.key) AS count
    FROM unnest($1::text[]) AS k (key)
)
UPDATE packs p SET live = n.count
FROM n
WHERE p.key = ANY ($1) AND p.key = n.key AND p.state = 'sealed' AND n.count > 0;

-- name: drop_empty_packs
-- Drops those of the sealed packs $1 that no row names, and queues their objects, $2 from now; returns how many there were,
-- and their bytes.
WITH dropped AS (
    DELETE FROM packs p
    WHERE p.key = ANY ($1::text[]) AND p.state = 'sealed'
      AND NOT EXISTS (SELECT FROM chunks c WHERE c.pack_key = p.key)
      AND NOT EXISTS (SELECT FROM chunk_locations l WHERE l.pack_key = p.key)
    RETURNING p.bucket, p.key, p.bytes
), queued AS (
    INSERT INTO object_deletions (bucket, key, bytes, not_before)
    SELECT bucket, key, bytes, clock_timestamp() + $2::interval FROM dropped ORDER BY key
)
SELECT count(*)::int AS packs, coalesce(sum(bytes), 0)::bigint AS bytes FROM dropped;
