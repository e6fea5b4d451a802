-- name: window
-- The commits $2 and those of their ancestors that are fewer than $3 generations below the highest of them,
-- and the parents of all these; at most $4 rows (NULL = all). A row is inside unless it is just such a parent. size:
-- at least the bytes of the commit in a response. The lateral query is read by its key, once for each row.
WITH RECURSIVE start AS MATERIALIZED (
    SELECT hash, parent_hashes, tree_hash, generation, changed_paths,
           250 + 66 * cardinality(parent_hashes) + octet_length(message)
           + octet_length(author_name) + octet_length(author_email)
           + octet_length(committer_name) + octet_length(committer_email) AS size
    FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[])
), floor AS MATERIALIZED (
    SELECT max(generation) - $3::bigint AS generation FROM start
), reached AS (
    SELECT start.*, start.generation > floor.generation AS is_inside FROM start, floor
    UNION
    SELECT c.*, c.generation > floor.generation
    FROM reached r CROSS JOIN floor CROSS JOIN LATERAL (
        SELECT hash, parent_hashes, tree_hash, generation, changed_paths,
               250 + 66 * cardinality(parent_hashes) + octet_length(message)
               + octet_length(author_name) + octet_length(author_email)
               + octet_length(committer_name) + octet_length(committer_email)
        FROM commits WHERE repo_id = $1 AND hash = ANY (r.parent_hashes) OFFSET 0
    ) c
    WHERE r.is_inside
)
SELECT * FROM reached LIMIT $4::bigint;
