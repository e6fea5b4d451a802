-- The life of a pack, by the steps U1 to U7 and ABANDON of the chunk lifetime protocol. Each statement
-- locks or works, never both: its snapshot sees what the locks before it waited for.

-- name: open_pack
-- Announces a pack. Committed before its first byte is written, so that no object is ever unknown.
INSERT INTO packs (key, bucket, region) VALUES ($1, $2, $3);

-- name: hold_repository
-- U1. Keeps repository $1 from being deleted until the commit; no row if it was deleted before.
SELECT 1 FROM repository_identities WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE;

-- name: hold_pack
-- U2. Locks the own pack: 'open' as it should be, 'sealed' if an earlier commit succeeded unheard, no row
-- if the sweeper took it.
SELECT state FROM packs WHERE key = $1 FOR NO KEY UPDATE;

-- name: insert_chunks
-- U3. Adds the chunks that nobody has yet, with the one reference that U4 adds, and tells which they were.
-- WHERE FALSE locks the others in order without writing them; DO NOTHING would leave them to the
-- collector. Columns come as text with commas: arrays cost the service several times the CPU time.
WITH mine AS (
    INSERT INTO chunks (hash, size, compressed_size, compression, storage_bucket, storage_key, ref_count)
    SELECT d.hash, d.size, CASE WHEN d.compression = 'zstd' THEN d.stored END, d.compression, $2,
           $1::text || '@' || d.start || '+' || d.stored, 1
    FROM unnest(string_to_array($3, ','), string_to_array($4, ',')::int[], string_to_array($5, ','),
                string_to_array($6, ',')::int[], string_to_array($7, ',')::int[])
        AS d (hash, size, compression, start, stored)
    ORDER BY d.hash COLLATE "C"
    ON CONFLICT (hash) DO UPDATE SET ref_count = chunks.ref_count WHERE FALSE
    RETURNING hash, coalesce(compressed_size, size) AS stored
)
SELECT coalesce(array_agg(hash), '{}') AS hashes, coalesce(sum(stored), 0)::bigint AS bytes FROM mine;

-- name: insert_references
-- U4. Claims the chunks for repository $1, and tells on which it had no claim. Needs no order: references
-- come and go only under the lock of their chunk, which U3 took.
WITH new AS (
    INSERT INTO chunk_refs (repo_id, chunk_hash)
    SELECT $1, d.hash FROM unnest(string_to_array($2, ',')) AS d (hash)
    ON CONFLICT (repo_id, chunk_hash) DO NOTHING
    RETURNING chunk_hash
)
SELECT coalesce(array_agg(chunk_hash), '{}') AS hashes FROM new;

-- name: count_references
-- U5. Counts the new references to chunks that were there before, and takes them from the collector.
UPDATE chunks
SET ref_count = ref_count + 1, delete_after = NULL
WHERE hash = ANY (string_to_array($1, ','));

-- name: seal_pack
-- U7. The pack is complete, and $2 chunks of together $3 stored bytes name it.
UPDATE packs SET state = 'sealed', live = $2, bytes = $3 WHERE key = $1;

-- name: drop_unneeded_pack
-- U7 for a pack that nothing names, because every chunk was there already: its object can go.
WITH dropped AS (DELETE FROM packs WHERE key = $1 RETURNING bucket, key)
INSERT INTO object_deletions (bucket, key, not_before)
SELECT bucket, key, clock_timestamp() FROM dropped;

-- name: abandon_pack
-- ABANDON, first half. A sealed pack stays.
DELETE FROM packs WHERE key = $1 AND state = 'open';

-- name: queue_object
-- ABANDON, second half. The object goes unless a pack names it: that no *open* one does would not suffice.
INSERT INTO object_deletions (bucket, key, not_before)
SELECT $1, $2, clock_timestamp()
WHERE NOT EXISTS (SELECT FROM packs WHERE key = $2);
