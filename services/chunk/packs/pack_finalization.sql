-- The steps U1 to U7 that finalize a pack. Each statement locks or works, never both: its snapshot sees
-- what the locks before it waited for. U6, which renews claims, stands in catalog/presence.sql.

-- name: hold_repository
-- U1. Keeps repository $1 from being deleted until the commit; no row if it was deleted before.
SELECT 1 FROM repository_identities WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE;

-- name: hold_pack
-- U2. Locks the own pack: 'open' as it should be, 'sealed' if an earlier commit succeeded and its reply was
-- lost, no row if the sweep dropped it.
SELECT state FROM packs WHERE key = $1 FOR NO KEY UPDATE;

-- name: insert_chunks
-- U3. Adds the chunks that no repository has yet, with the one reference that U4 adds, and returns which they
-- were. WHERE FALSE locks the others in order without writing them; DO NOTHING would leave them to the
-- collector. Columns come as text with commas: arrays cost the service several times the CPU time.
WITH mine AS (
    INSERT INTO chunks (hash, size, compressed_size, compression, storage_bucket, storage_key, ref_count)
    SELECT d.hash, d.size, CASE WHEN d.compression = 'zstd' THEN d.stored END, d.compression, :bucket,
           :pack_key::text || '@' || d.start || '+' || d.stored, 1
    FROM unnest(string_to_array(:hashes, ','), string_to_array(:sizes, ',')::int[],
                string_to_array(:compressions, ','), string_to_array(:offsets, ',')::int[],
                string_to_array(:lengths, ',')::int[])
        AS d (hash, size, compression, start, stored)
    ORDER BY d.hash COLLATE "C"
    ON CONFLICT (hash) DO UPDATE SET ref_count = chunks.ref_count WHERE FALSE
    RETURNING hash, coalesce(compressed_size, size) AS stored
)
SELECT coalesce(array_agg(hash), '{}') AS hashes, coalesce(sum(stored), 0)::bigint AS bytes FROM mine;

-- name: insert_references
-- U4. Claims the chunks for repository $1, and returns those on which it had no claim. Needs no order:
-- references come and go only under the lock of their chunk, which U3 took.
WITH new AS (
    INSERT INTO chunk_refs (repo_id, chunk_hash)
    SELECT $1, d.hash FROM unnest(string_to_array($2, ',')) AS d (hash)
    ON CONFLICT (repo_id, chunk_hash) DO NOTHING
    RETURNING chunk_hash
)
SELECT coalesce(array_agg(chunk_hash), '{}') AS hashes FROM new;

-- name: count_references
-- U5. Counts the new references to chunks that were there before, and keeps them from the collector.
UPDATE chunks
SET ref_count = ref_count + 1, delete_after = NULL
WHERE hash = ANY (string_to_array($1, ','));

-- name: seal_pack
-- U7. The pack is complete, and $2 chunks of together $3 stored bytes name it.
UPDATE packs SET state = 'sealed', live = $2, bytes = $3 WHERE key = $1;

-- name: drop_unneeded_pack
-- U7 of a pack that nothing names, because every chunk was there already: queues its object.
WITH dropped AS (DELETE FROM packs WHERE key = $1 RETURNING bucket, key)
INSERT INTO object_deletions (bucket, key, not_before)
SELECT bucket, key, clock_timestamp() FROM dropped;
