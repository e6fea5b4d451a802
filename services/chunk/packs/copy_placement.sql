-- Chunks get a copy in another region: lock in one statement, work in the next.

-- name: hold_chunks
-- Locks the chunks $1. Against the collection a weaker lock would do; an upload that makes a lost chunk whole, perhaps in
-- another form, drops all copies of it, and must not miss one that is just being noted.
SELECT hash FROM chunks WHERE hash = ANY ($1::text[]) ORDER BY hash FOR NO KEY UPDATE;

-- name: insert_copies
-- Notes the copies that the region lacks, of chunks that are still stored as they were when they were read; returns their number
-- and stored bytes.
WITH placed AS (
    INSERT INTO chunk_locations (chunk_hash, region, bucket, storage_key)
    SELECT c.hash, :region, :bucket, :pack_key::text || '@' || d.start || '+' || d.stored
    FROM unnest(:hashes::text[], :compressions::text[], :offsets::int[], :lengths::int[])
        AS d (hash, compression, start, stored)
    CROSS JOIN LATERAL (SELECT * FROM chunks WHERE hash = d.hash OFFSET 0) c
    WHERE split_part(c.storage_bucket, '.', 1) <> :region AND c.compression = d.compression AND coalesce(c.compressed_size, c.size) = d.stored
    ORDER BY c.hash
    ON CONFLICT (chunk_hash, region) DO NOTHING
    RETURNING split_part(storage_key, '+', 2)::bigint AS stored
)
SELECT count(*)::int AS count, coalesce(sum(stored), 0)::bigint AS bytes FROM placed;

-- name: settle_copies
-- Takes those of the chunks $2, which are locked, out of the queue of region $1 that are there, or are not wanted there any
-- more; returns how many entries went.
WITH settled AS (
    DELETE FROM due_copies d
    WHERE d.region = $1 AND d.chunk_hash = ANY ($2::text[])
      AND (EXISTS (SELECT FROM chunks c WHERE c.hash = d.chunk_hash AND split_part(c.storage_bucket, '.', 1) = $1 OFFSET 0)
           OR EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = d.chunk_hash AND l.region = $1 OFFSET 0)
           OR NOT EXISTS (SELECT FROM chunk_refs r WHERE r.repo_id = d.repo_id AND r.chunk_hash = d.chunk_hash OFFSET 0)
           OR NOT EXISTS (SELECT FROM repository_regions p WHERE p.repo_id = d.repo_id AND $1 = ANY (p.regions)))
    RETURNING 1
)
SELECT count(*)::int FROM settled;
