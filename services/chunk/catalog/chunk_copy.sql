-- The steps of a copy. Each statement locks or works, never both: its snapshot sees what the locks before it waited for. The
-- renewal of claims stands in presence.sql, U1 in repository_hold.sql.

-- name: hold_chunks
-- U3. Locks those of the chunks $3 that repository $1 or $2 has. References come and go only under this lock. Chunks of
-- others are not touched: whoever waited for their locks would learn that they are there.
SELECT hash FROM chunks
WHERE hash IN (SELECT r.chunk_hash FROM chunk_refs r
               WHERE r.repo_id IN ($1, $2) AND r.chunk_hash = ANY (string_to_array($3, ',')))
ORDER BY hash
FOR NO KEY UPDATE;

-- name: copy_references
-- U4. Claims those of the chunks $3, which U3 has locked, for repository $1 that repository $2 has, and of which there is
-- a good copy; returns those on which it had no claim. What the source got since U3 is left out: it is not locked.
WITH new AS (
    INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size, encryption_key_id, storage_class)
    SELECT $1, r.chunk_hash, r.stored_size, r.encryption_key_id, r.storage_class
    FROM chunk_refs r JOIN chunks c ON c.hash = r.chunk_hash
    WHERE r.repo_id = $2 AND r.chunk_hash = ANY ($3::text[]) AND c.lost_at IS NULL
    ON CONFLICT (repo_id, chunk_hash) DO NOTHING
    RETURNING chunk_hash
)
SELECT n.chunk_hash AS hash, (SELECT c.size FROM chunks c WHERE c.hash = n.chunk_hash) AS size FROM new n;

-- name: count_references
-- U5. Counts the new references, and keeps the chunks from the collector.
UPDATE chunks SET ref_count = ref_count + 1, delete_after = NULL WHERE hash = ANY ($1::text[]);

-- name: count_additions
-- How often chunks were added to repository $1, those of U4 included: its row is locked since.
SELECT additions FROM repository_storage WHERE repo_id = $1;

-- name: queue_copies
-- Queues copies of the chunks $2, which are new to repository $1, in other regions, if it has a policy for them.
SELECT queue_copies($1, $2::text[]);

-- name: held_chunks
-- Those of the chunks $2 that repository $1 has now, and of which there is a good copy.
SELECT decode(r.chunk_hash, 'hex') AS digest
FROM chunk_refs r JOIN chunks c ON c.hash = r.chunk_hash
WHERE r.repo_id = $1 AND r.chunk_hash = ANY (string_to_array($2, ',')) AND c.lost_at IS NULL;
