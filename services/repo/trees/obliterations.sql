-- name: obliteration
-- A content of a repository, locked, and its obliteration if there is one.
SELECT a.hash, a.size, a.file_name, a.ref_count, a.recipe_hash, o.reason, o.obliterated_at, u.username
FROM assets a
LEFT JOIN obliterations o USING (repo_id, hash)
LEFT JOIN user_identities u ON u.id = o.obliterated_by
WHERE a.repo_id = $1 AND a.hash = $2
FOR NO KEY UPDATE OF a;

-- name: count_obliterations
-- How many a repository has.
SELECT count(*) FROM obliterations WHERE repo_id = $1;

-- name: insert_obliteration
-- A content may not come back.
INSERT INTO obliterations (repo_id, hash, reason, obliterated_by) VALUES ($1, $2, $3, $4);

-- name: delete_obliteration
-- A content may come back.
DELETE FROM obliterations WHERE repo_id = $1 AND hash = $2 RETURNING reason;

-- name: forget_metadata
-- What clients have stored about a content goes with it.
UPDATE assets SET metadata = DEFAULT WHERE repo_id = $1 AND hash = $2;

-- name: count_bytes
-- The repository has so many bytes of contents more.
UPDATE repository_stats SET logical_bytes = logical_bytes + $2 WHERE repo_id = $1;

-- name: lock_chunks
-- Locks chunks of the content, whoever has them.
SELECT lock_chunks($1::text[]);

-- name: take_released_lists
-- How often a large content was released before, so that its chunks wait for the collection; now they do not any more.
SELECT take_released_lists($1, $2::bytea);

-- name: release_chunks
-- Takes $3 references from each of some chunks.
SELECT release_chunks($1, $2::text[], array_fill($3::int, ARRAY[cardinality($2::text[])]));

-- name: erase_chunks
-- Takes the chunks of the content from the repository; returns how many went, and their bytes.
SELECT chunk_count, byte_count FROM erase_chunks($1, $2::text[]);

-- name: obliterations
-- Up to $3 obliterations of a repository by hash, those after one ($2).
SELECT o.hash, o.reason, o.obliterated_at, u.username, a.size, a.file_name, a.ref_count
FROM obliterations o
LEFT JOIN assets a USING (repo_id, hash)
LEFT JOIN user_identities u ON u.id = o.obliterated_by
WHERE o.repo_id = $1 AND o.hash > $2
ORDER BY o.hash
LIMIT $3;
