-- name: commits
-- Some commits, in any order; with their signatures if $3.
SELECT hash, parent_hashes, tree_hash, author_name, author_email, author_timestamp, author_offset_minutes,
       committer_name, committer_email, committer_timestamp, committer_offset_minutes, message, created_at,
       signature_key, signature_verdict, CASE WHEN $3 THEN signature END AS signature
FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[]);

-- name: known
-- Those of some commits that the repository has.
SELECT hash FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[]);
