-- name: obliteration
-- A content of a repository, locked, and its obliteration if there is one.
SELECT a.hash, a.size, a.file_name, a.ref_count, a.recipe_hash, o.reason, o.obliterated_at, u.username,
       is_being_erased(a.repo_id, a.hash) AS is_pending
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

-- name: erase_chunks
-- Takes the chunks of a small content from the repository.
SELECT erase_chunks($1, $2::text[]);

-- name: erase_list
-- Leaves the chunks of a large content ($3) to the collection, by the list of its recipes.
SELECT erase_list($1, $2::bytea, $3);

-- name: end_erasure
-- Keeps the chunks of a content that are yet to be erased.
SELECT end_erasure($1, $2);

-- name: obliterations
-- Up to $3 obliterations of a repository by hash, those after one ($2).
SELECT o.hash, o.reason, o.obliterated_at, u.username, a.size, a.file_name, a.ref_count,
       is_being_erased(o.repo_id, o.hash) AS is_pending
FROM obliterations o
LEFT JOIN assets a USING (repo_id, hash)
LEFT JOIN user_identities u ON u.id = o.obliterated_by
WHERE o.repo_id = $1 AND o.hash > $2
ORDER BY o.hash
LIMIT $3;
