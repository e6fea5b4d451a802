-- name: ancestry
-- The commits $2 and their ancestors, $3 generations of parents deep.
WITH RECURSIVE reached (hash, depth) AS (
    SELECT h COLLATE "C", 0 FROM unnest($2::text[]) h
    UNION
    SELECT p, r.depth + 1
    FROM reached r
    JOIN commits c ON c.repo_id = $1 AND c.hash = r.hash
    CROSS JOIN LATERAL unnest(c.parent_hashes) p
    WHERE r.depth < $3
)
SELECT hash, tree_hash, generation, parent_hashes
FROM commits WHERE repo_id = $1 AND hash IN (SELECT hash FROM reached);
