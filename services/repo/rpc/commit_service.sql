-- name: commits
-- Some commits, in any order.
SELECT hash, parent_hashes, tree_hash, author_name, author_email, author_timestamp, author_offset_minutes,
       committer_name, committer_email, committer_timestamp, committer_offset_minutes, message, created_at
FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[]);

-- name: walk
-- The commits $2 and their ancestors down to $3 steps below them: all that a page of $3 commits that
-- begins at $2 can need. bytes: at least the size of the commit in a response.
WITH RECURSIVE reached (hash, depth) AS (
    SELECT h COLLATE "C", 1 FROM unnest($2::text[]) h
    UNION
    SELECT p, r.depth + 1
    FROM reached r
    JOIN commits c ON c.repo_id = $1 AND c.hash = r.hash
    CROSS JOIN LATERAL unnest(c.parent_hashes) p
    WHERE r.depth < $3
)
SELECT hash, parent_hashes, generation,
       250 + 66 * cardinality(parent_hashes) + octet_length(message)
       + octet_length(author_name) + octet_length(author_email)
       + octet_length(committer_name) + octet_length(committer_email) AS bytes
FROM commits WHERE repo_id = $1 AND hash IN (SELECT hash FROM reached);
