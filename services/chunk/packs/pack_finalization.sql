-- The steps U1 to U7 that finalize a pack. Each statement locks or works, never both: its snapshot sees
-- what the locks before it waited for. U1 stands in catalog/repository_hold.sql, U6, which renews claims, in
-- catalog/presence.sql, U2 and U7 in pack_sealing.sql.

-- name: insert_chunks
-- U3. Adds the chunks that no repository has yet, with the one reference that U4 adds, and returns which they
-- were. WHERE FALSE locks the others in order without writing them; DO NOTHING would leave them to the
-- collector. Columns come as text with commas: arrays cost the service several times the CPU time.
WITH mine AS (
    INSERT INTO chunks (hash, size, compressed_size, compression, storage_bucket, storage_key, ref_count, encrypted,
                        encryption_key_id)
    SELECT d.hash, d.size, CASE WHEN d.compression = 'zstd' THEN d.stored END, d.compression, :bucket,
           :pack_key::text || '@' || d.start || '+' || d.stored, 1, coalesce(d.key_id, '') <> '', nullif(d.key_id, '')
    FROM unnest(string_to_array(:hashes, ','), string_to_array(:sizes, ',')::int[],
                string_to_array(:compressions, ','), string_to_array(:offsets, ',')::int[],
                string_to_array(:lengths, ',')::int[], string_to_array(:key_ids, ','))
        AS d (hash, size, compression, start, stored, key_id)
    ORDER BY d.hash COLLATE "C"
    ON CONFLICT (hash) DO UPDATE SET ref_count = chunks.ref_count WHERE FALSE
    RETURNING hash
)
SELECT coalesce(array_agg(hash), '{}') AS hashes FROM mine;

-- name: insert_references
-- U4. Claims the chunks ($2, with stored sizes $3 and keys $4) for repository $1, and returns those on which it had no claim.
-- Needs no order: references come and go only under the lock of their chunk, which U3 took.
WITH new AS (
    INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size, encryption_key_id)
    SELECT $1, d.hash, d.stored, nullif(d.key_id, '')
    FROM unnest(string_to_array($2, ','), string_to_array($3, ',')::int[], string_to_array($4, ','))
        AS d (hash, stored, key_id)
    ON CONFLICT (repo_id, chunk_hash) DO NOTHING
    RETURNING chunk_hash
)
SELECT coalesce(array_agg(chunk_hash), '{}') AS hashes FROM new;

-- name: other_keys
-- Those of the chunks $2 that repository $1 has under another key than $3 says.
SELECT decode(r.chunk_hash, 'hex') AS digest
FROM unnest(string_to_array($2, ','), string_to_array($3, ',')) AS d (hash, key_id)
CROSS JOIN LATERAL (SELECT * FROM chunk_refs WHERE repo_id = $1 AND chunk_hash = d.hash OFFSET 0) r
WHERE coalesce(r.encryption_key_id, '') <> coalesce(d.key_id, '');

-- name: count_additions
-- How often chunks were added to repository $1, those of U4 included: its row is locked since. And after how many seconds its
-- chunks are to be copied into other regions; NULL = they are not.
SELECT additions, (SELECT p.replication_seconds FROM repository_regions p WHERE p.repo_id = $1) AS copy_seconds
FROM repository_storage WHERE repo_id = $1;

-- name: queue_copies
-- Queues copies of the chunks $2, which are new to repository $1.
SELECT queue_copies($1, $2::text[]);

-- name: queue_copies_for_all
-- Queues copies of the chunks $1, which are whole again and lie in one region, for all repositories.
SELECT queue_copies_for_all($1::text[]);

-- name: count_references
-- U5. Counts the new references to chunks that were there before, and keeps them from the collector.
UPDATE chunks
SET ref_count = ref_count + 1, delete_after = NULL
WHERE hash = ANY (string_to_array($1, ','));

-- name: lost_and_cold_chunks
-- Those of the chunks $1, which U3 has locked, of which no good copy is left, or that lie colder than hot ones; and their packs.
SELECT hash, pack_key, lost_at IS NOT NULL AS is_lost
FROM chunks
WHERE hash = ANY (string_to_array($1, ',')) AND (lost_at IS NOT NULL OR storage_class <> 'standard');

-- name: warm_references
-- Those of the chunks $2 that are archived for repository $1: it has brought them again, and wants them hot.
UPDATE chunk_refs
SET storage_class = NULL, restored_until = NULL, last_seen_at = clock_timestamp()
WHERE repo_id = $1 AND chunk_hash = ANY (string_to_array($2, ',')) AND storage_class IN ('glacier', 'deep_archive')
RETURNING chunk_hash;

-- name: drop_copies
-- Drops the copies of the chunks, which get another place: of lost ones all, of others those in the region where their home is
-- from now on, and those that are compressed differently.
DELETE FROM chunk_locations l
USING unnest(:hashes::text[], :compressions::text[], :lengths::int[]) AS d (hash, compression, stored)
CROSS JOIN LATERAL (SELECT * FROM chunks WHERE hash = d.hash OFFSET 0) c
WHERE l.chunk_hash = ANY (:hashes) AND l.chunk_hash = d.hash
  AND (c.lost_at IS NOT NULL OR l.region = :region OR c.compression <> d.compression
       OR coalesce(c.compressed_size, c.size) <> d.stored)
RETURNING l.pack_key;

-- name: restore_chunks
-- Repairs lost and cold chunks: their bytes are in this pack now.
UPDATE chunks c
SET storage_bucket = :bucket, storage_key = :pack_key::text || '@' || d.start || '+' || d.stored,
    compression = d.compression,
    compressed_size = CASE WHEN d.compression = 'zstd' THEN d.stored END,
    storage_class = :storage_class, archived_at = NULL,
    lost_at = NULL
FROM unnest(:hashes::text[], :compressions::text[], :offsets::int[], :lengths::int[])
    AS d (hash, compression, start, stored)
WHERE c.hash = ANY (:hashes) AND c.hash = d.hash;
