-- name: commits
-- Some commits, in any order.
SELECT hash, parent_hashes, tree_hash, author_name, author_email, author_timestamp, author_offset_minutes,
       committer_name, committer_email, committer_timestamp, committer_offset_minutes, message, created_at
FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[]);
