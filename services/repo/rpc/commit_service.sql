-- name: get_commit
-- One commit.
SELECT hash, parent_hashes, tree_hash, author_name, author_email, author_timestamp,
       committer_name, committer_email, committer_timestamp, message, created_at, generation
FROM commits WHERE repo_id = $1 AND hash = $2;

-- name: walk
-- The commits $2 and their ancestors down to $3 steps below them: all that a page of $3 commits that
-- begins at $2 can need.
WITH RECURSIVE reached (hash, depth) AS (
    SELECT h COLLATE "C", 1 FROM unnest($2::text[]) h
    UNION
    SELECT p, r.depth + 1
    FROM reached r
    JOIN commits c ON c.repo_id = $1 AND c.hash = r.hash
    CROSS JOIN LATERAL unnest(c.parent_hashes) p
    WHERE r.depth < $3
)
SELECT hash, parent_hashes, tree_hash, author_name, author_email, author_timestamp,
       committer_name, committer_email, committer_timestamp, message, created_at, generation
FROM commits WHERE repo_id = $1 AND hash IN (SELECT hash FROM reached);
