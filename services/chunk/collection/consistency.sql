-- The definitions of the counters of chunks and packs, against what is stored.

-- name: join_rows
-- What follows in this transaction goes through all rows ($1 = off), or is looked up (on). With off, tables are joined as wholes,
-- also where PostgreSQL believes that they have no rows, as after it has looked at them while they were empty.
SELECT set_config('enable_nestloop', $1, TRUE);

-- name: miscounted_chunks
-- Chunks whose ref_count is not the number of their references.
SELECT c.hash, c.ref_count, coalesce(r.count, 0) AS count
FROM chunks c
LEFT JOIN (SELECT chunk_hash, count(*)::int AS count FROM chunk_refs GROUP BY chunk_hash) AS r ON r.chunk_hash = c.hash
WHERE c.ref_count <> coalesce(r.count, 0)
ORDER BY c.hash;

-- name: miscounted_packs
-- Sealed packs whose live is not the number of rows that name them.
SELECT p.key, p.live, coalesce(n.count, 0) AS count
FROM packs p
LEFT JOIN (SELECT pack_key, count(*)::int AS count
           FROM (SELECT pack_key FROM chunks UNION ALL SELECT pack_key FROM chunk_locations) AS rows
           GROUP BY pack_key) AS n ON n.pack_key = p.key
WHERE p.live <> coalesce(n.count, 0)
ORDER BY p.key;

-- name: misplaced_copies
-- Copies in a region where the home copy is, and rows that name a pack of another bucket.
SELECT l.chunk_hash AS hash, l.region, split_part(c.storage_bucket, '.', 1) = l.region AS is_double
FROM chunk_locations l
JOIN chunks c ON c.hash = l.chunk_hash
JOIN packs p ON p.key = l.pack_key
WHERE split_part(c.storage_bucket, '.', 1) = l.region OR p.bucket <> l.bucket OR p.region <> l.region
UNION ALL
SELECT c.hash, c.storage_bucket, FALSE FROM chunks c JOIN packs p ON p.key = c.pack_key WHERE p.bucket <> c.storage_bucket
ORDER BY 1, 2;

-- name: too_cold_chunks
-- Chunks whose class is not that of their place, or that lie where a repository that has them hotter cannot read them.
SELECT c.hash, c.storage_class AS class
FROM chunks c
WHERE c.storage_class <> coalesce(nullif(split_part(c.storage_bucket, '.', 2), ''), 'standard')
   OR c.storage_class <> 'standard'
      AND EXISTS (SELECT FROM chunk_refs r
                  WHERE r.chunk_hash = c.hash AND storage_rank(r.storage_class) < storage_rank(c.storage_class))
ORDER BY c.hash;

-- name: unplaced_chunks
-- For each repository and region, how many of its chunks are not there though it wants them, and nothing will bring them there.
SELECT p.repo_id, w.region, count(*)::int AS count
FROM repository_regions p
CROSS JOIN LATERAL unnest(p.regions) AS w (region)
JOIN chunk_refs r ON r.repo_id = p.repo_id
JOIN chunks c ON c.hash = r.chunk_hash
WHERE split_part(c.storage_bucket, '.', 1) <> w.region
  AND NOT EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = c.hash AND l.region = w.region)
  AND NOT EXISTS (SELECT FROM due_copies d WHERE d.region = w.region AND d.chunk_hash = c.hash AND d.repo_id = p.repo_id)
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: queued_packs
-- Packs whose objects wait for their deletion.
SELECT DISTINCT d.key FROM object_deletions d JOIN packs p USING (key) ORDER BY d.key;

-- name: lost_chunks
-- How many chunks have no good copy.
SELECT count(*) FROM chunks WHERE lost_at IS NOT NULL;

-- name: references_of_repository
-- The chunks that repository $1 refers to, and how often.
SELECT decode(chunk_hash, 'hex') AS digest, ref_count FROM chunk_refs WHERE repo_id = $1 AND ref_count > 0;

-- name: released_lists
-- The chunk lists of large files of repository $1 that are gone or obliterated, after which of the chunks, and
-- up to which, they still count; NULL: up to the last.
SELECT recipe_hashes, decode(released_to, 'hex') AS released_to, decode(taken_to, 'hex') AS taken_to
FROM released_lists WHERE repo_id = $1;

-- name: hold_chunks
-- Locks the chunks $1 and those that lie in the packs $2, at once: locks in two rounds could wait for each other.
SELECT hash FROM chunks WHERE hash = ANY ($1::text[]) OR pack_key = ANY ($2::text[]) ORDER BY hash FOR UPDATE;

-- name: recount_chunks
-- Counts the references of the chunks $1 again. What has none may be deleted after $2.
WITH n AS MATERIALIZED (
    SELECT h.hash, (SELECT count(*)::int FROM chunk_refs r WHERE r.chunk_hash = h.hash) AS count
    FROM unnest($1::text[]) AS h (hash)
)
UPDATE chunks c
SET ref_count = n.count,
    delete_after = CASE WHEN n.count = 0 THEN coalesce(c.delete_after, clock_timestamp() + $2::interval) END
FROM n
WHERE c.hash = ANY ($1) AND c.hash = n.hash;

-- name: unqueue_packs
-- Takes the objects of the packs $1 out of the queue.
DELETE FROM object_deletions d USING packs p WHERE d.key = ANY ($1::text[]) AND p.key = d.key;
