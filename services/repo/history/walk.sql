-- name: window
-- The commits $2 and those of their ancestors that are fewer than $3 generations below the highest of them,
-- and the parents of all these; at most $4 rows. A row is inside unless it is just such a parent. size: at least
-- the bytes of the commit in a response; found: how many of the commits $2 there are. The lateral query is read
-- by its key, once for each row.
WITH RECURSIVE start AS MATERIALIZED (
    SELECT hash, parent_hashes, tree_hash, generation, changed_paths,
           330 + 66 * cardinality(parent_hashes) + octet_length(message)
           + octet_length(author_name) + octet_length(author_email)
           + octet_length(committer_name) + octet_length(committer_email) AS size
    FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[])
), floor AS MATERIALIZED (
    SELECT max(generation) - $3::bigint AS generation FROM start
), reached AS (
    SELECT start.*, TRUE AS is_inside FROM start, floor WHERE start.generation > floor.generation
    UNION
    SELECT c.*, c.generation > floor.generation
    FROM reached r CROSS JOIN floor CROSS JOIN LATERAL unnest(r.parent_hashes) p CROSS JOIN LATERAL (
        SELECT hash, parent_hashes, tree_hash, generation, changed_paths,
               330 + 66 * cardinality(parent_hashes) + octet_length(message)
               + octet_length(author_name) + octet_length(author_email)
               + octet_length(committer_name) + octet_length(committer_email)
        FROM commits WHERE repo_id = $1 AND hash = p OFFSET 0
    ) c
    WHERE r.is_inside
)
SELECT reached.*, (SELECT count(*) FROM start) AS found FROM reached LIMIT $4;

-- name: highest_generation
-- Of the commits $2, the first $3 by hash of those of the highest generation, and their parents; rows as above.
WITH start AS MATERIALIZED (
    SELECT hash, parent_hashes, tree_hash, generation, changed_paths,
           330 + 66 * cardinality(parent_hashes) + octet_length(message)
           + octet_length(author_name) + octet_length(author_email)
           + octet_length(committer_name) + octet_length(committer_email) AS size
    FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[])
), highest AS MATERIALIZED (
    SELECT * FROM start WHERE generation = (SELECT max(generation) FROM start) ORDER BY hash LIMIT $3
)
SELECT highest.*, TRUE AS is_inside, (SELECT count(*) FROM start) AS found FROM highest
UNION ALL
SELECT c.hash, c.parent_hashes, c.tree_hash, c.generation, c.changed_paths, 0, FALSE, (SELECT count(*) FROM start)
FROM commits c
WHERE c.repo_id = $1 AND c.hash = ANY (ARRAY (SELECT DISTINCT unnest(parent_hashes) FROM highest));
