-- How the transaction that points rows at a new pack begins and ends.

-- name: hold_pack
-- U2. Locks the new pack: 'open' as it should be, 'sealed' if an earlier commit succeeded and its reply was lost, no
-- row if the sweep dropped it. is_meant: the store $3 is that of bucket $2 (NULL = whichever it is), and stays so until the commit.
WITH meant AS (
    SELECT 1 FROM stores WHERE bucket = $2 AND id = $3 FOR KEY SHARE
)
SELECT p.state, $3::uuid IS NULL OR EXISTS (SELECT FROM meant) AS is_meant
FROM packs p WHERE p.key = $1 FOR NO KEY UPDATE OF p;

-- name: seal_pack
-- U7. The pack is complete, and $2 rows name it, out of the chunks ($4, with commas) that are in it; its object has $3 bytes.
UPDATE packs
SET state = 'sealed', live = $2, bytes = $3,
    prints = ARRAY(SELECT chunk_print(d.hash) FROM unnest(string_to_array($4, ',')) AS d (hash))
WHERE key = $1;

-- name: drop_unneeded_pack
-- U7 of a pack that nothing names, because every chunk is elsewhere or gone: queues its object.
WITH dropped AS (DELETE FROM packs WHERE key = $1 RETURNING bucket, key)
INSERT INTO object_deletions (bucket, key, not_before)
SELECT bucket, key, clock_timestamp() FROM dropped;
