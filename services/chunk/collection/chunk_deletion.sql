-- G1 to G4: chunks without references go when their grace has ended.

-- name: dead_chunks
-- G1. Up to $3 chunks whose grace ended by $1, from those of $2 on, and the time of the last. Locks nothing.
SELECT array_agg(hash) AS hashes, max(delete_after) AS last, count(*)::int AS count
FROM (SELECT hash, delete_after FROM chunks
      WHERE delete_after < $1 AND delete_after >= $2
      ORDER BY delete_after LIMIT $3) AS dead;

-- name: hold_dead_chunks
-- G2. Locks those of the chunks $1 that are still dead at $2, without those that another transaction has locked.
SELECT hash
FROM chunks
WHERE hash = ANY ($1::text[]) AND ref_count = 0 AND delete_after < $2
ORDER BY hash
FOR UPDATE SKIP LOCKED;

-- name: referenced_chunks
-- G3. Those of the chunks $1 that have references all the same: a defect.
SELECT DISTINCT chunk_hash FROM chunk_refs WHERE chunk_hash = ANY ($1::text[]);

-- name: delete_chunks
-- G4. Deletes the chunks $1 with their copies; returns how many rows named each pack, and of the chunks, how many there
-- were and their stored bytes.
WITH copies AS (
    DELETE FROM chunk_locations WHERE chunk_hash = ANY ($1::text[]) RETURNING pack_key
), dead AS (
    DELETE FROM chunks WHERE hash = ANY ($1::text[])
    RETURNING pack_key, coalesce(compressed_size, size) AS stored
)
SELECT pack_key, count(*)::int AS rows, count(stored)::int AS chunks, coalesce(sum(stored), 0)::bigint AS bytes
FROM (SELECT pack_key, stored FROM dead UNION ALL SELECT pack_key, NULL FROM copies) AS gone
GROUP BY pack_key;

-- name: note_erasures
-- Those of the chunks $1, which are deleted, whose bytes are to go from the packs.
UPDATE chunk_erasures SET deleted_at = clock_timestamp() WHERE chunk_hash = ANY ($1::text[]);
