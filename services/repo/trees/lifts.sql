-- name: begin_lift
-- Begins to take the chunks of a content ($4) again, by its recipes ($2 packed, $3), or goes on.
SELECT list_id, taken_to, missing FROM begin_lift($1, $2::bytea, $3::text[], $4);

-- name: keep_repository
-- Keeps repository $1 from being deleted until the commit.
SELECT FROM repositories WHERE id = $1 AND share_repository(id) FOR KEY SHARE;

-- name: lift_chunks
-- Takes some chunks, in order, after those that a lift has taken. missing is NULL if somebody else has gone on with it.
SELECT missing, missized
FROM lift_chunks(:repository_id, :list_id, :taken_to, :hashes::text[], :sizes::int[]);

-- name: find_missing_chunks
-- Which of some chunks repository $1 does not hold.
SELECT unnest(find_missing_chunks($1, $2::text[])) AS hash;

-- name: end_lift
-- Ends a lift ($2) that has taken all chunks, up to $3.
SELECT end_lift($1, $2, $3);
