-- Chunks get another place: lock in one statement, work in the next.

-- name: hold_chunks
-- W2. Locks the chunks $1.
SELECT hash FROM chunks WHERE hash = ANY ($1::text[]) ORDER BY hash FOR NO KEY UPDATE;

-- name: move_chunks
-- Gives those of the chunks their place in the new pack that still lie in the pack they were copied from; returns the
-- old packs with the number of chunks that left them, and their stored bytes. A copy that was good makes a lost chunk
-- whole.
WITH moved AS (
    UPDATE chunks c
    SET storage_bucket = :bucket, storage_key = :pack_key::text || '@' || d.start || '+' || d.stored, lost_at = NULL,
        storage_class = :storage_class::text,
        archived_at = CASE WHEN :storage_class IN ('glacier', 'deep_archive')
                           THEN coalesce(c.archived_at, clock_timestamp()) END
    FROM unnest(:hashes::text[], :old_keys::text[], :offsets::int[], :lengths::int[]) AS d (hash, old_key, start, stored)
    WHERE c.hash = ANY (:hashes) AND c.hash = d.hash AND c.pack_key = d.old_key
    RETURNING d.old_key, d.stored
)
SELECT old_key, count(*)::int AS count, sum(stored)::bigint AS bytes FROM moved GROUP BY old_key;

-- name: leave_wanted
-- Those of the chunks $1, which are locked, that no repository wants hotter than $2, or has restored.
SELECT h.hash
FROM unnest($1::text[]) AS h (hash)
WHERE NOT EXISTS (SELECT FROM chunk_refs r
                  WHERE r.chunk_hash = h.hash
                    AND (storage_rank(r.storage_class) < storage_rank($2) OR r.restored_until > clock_timestamp()));

-- name: move_copies
-- The same for copies: those of the chunks whose copy in this region still lies where it was copied from.
WITH moved AS (
    UPDATE chunk_locations l
    SET storage_key = :pack_key::text || '@' || d.start || '+' || d.stored
    FROM unnest(:hashes::text[], :old_keys::text[], :offsets::int[], :lengths::int[]) AS d (hash, old_key, start, stored)
    WHERE l.chunk_hash = ANY (:hashes) AND l.chunk_hash = d.hash AND l.bucket = :bucket AND l.pack_key = d.old_key
    RETURNING d.old_key, d.stored
)
SELECT old_key, count(*)::int AS count, sum(stored)::bigint AS bytes FROM moved GROUP BY old_key;
