-- name: known_commits
-- Those of some commits that the repository has.
SELECT hash, tree_hash, generation, parent_hashes
FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[]);

-- name: lock_commits
-- Those of some commits that the repository has; they cannot be deleted until the end of the transaction.
SELECT hash, tree_hash, generation, parent_hashes
FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[])
ORDER BY hash FOR KEY SHARE;

-- name: reaches
-- Whether $3, of generation $4, is one of the commits $2 or an ancestor of them; how many were looked at.
WITH RECURSIVE reached AS (
    SELECT c.hash, c.parent_hashes, c.generation
    FROM commits c WHERE c.repo_id = $1 AND c.hash = ANY ($2::text[])
    UNION
    SELECT c.hash, c.parent_hashes, c.generation
    FROM reached r
    CROSS JOIN LATERAL unnest(r.parent_hashes) p
    CROSS JOIN LATERAL (
        SELECT hash, parent_hashes, generation FROM commits WHERE repo_id = $1 AND hash = p OFFSET 0
    ) c
    WHERE r.generation > $4
)
SELECT count(*)::int AS walked, coalesce(bool_or(hash = $3), FALSE) AS found FROM reached;

-- name: reached_by_branches
-- Those of the commits $2 that are heads of branches other than $3 and shelves, or ancestors of such heads; if $4,
-- of shelves and tags, too.
WITH RECURSIVE asked AS MATERIALIZED (
    SELECT hash, generation FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[])
), floor AS MATERIALIZED (
    SELECT min(generation) AS generation FROM asked
), reached AS (
    SELECT c.hash, c.parent_hashes, c.generation
    FROM (
        SELECT head_commit AS hash FROM branches
        WHERE repo_id = $1 AND name <> $3 AND ($4 OR NOT starts_with(name, 'shelves/'))
        UNION ALL
        SELECT commit_hash FROM tags WHERE repo_id = $1 AND $4
    ) head
    CROSS JOIN floor
    CROSS JOIN LATERAL (
        SELECT hash, parent_hashes, generation FROM commits WHERE repo_id = $1 AND hash = head.hash OFFSET 0
    ) c
    WHERE c.generation >= floor.generation
    UNION
    SELECT c.hash, c.parent_hashes, c.generation
    FROM reached r
    CROSS JOIN floor
    CROSS JOIN LATERAL unnest(r.parent_hashes) p
    CROSS JOIN LATERAL (
        SELECT hash, parent_hashes, generation FROM commits WHERE repo_id = $1 AND hash = p OFFSET 0
    ) c
    WHERE r.generation > floor.generation
)
SELECT hash FROM asked WHERE hash IN (SELECT hash FROM reached);

-- name: insert_commits
-- Adds commits; those that are there are locked and left as they are. Each of :parents is a list with commas.
INSERT INTO commits (repo_id, hash, parent_hashes, tree_hash, generation,
                     author_name, author_email, author_timestamp, author_offset_minutes,
                     committer_name, committer_email, committer_timestamp, committer_offset_minutes,
                     message, changed_paths)
SELECT :repository_id, d.hash, coalesce(string_to_array(nullif(d.parents, ''), ','), '{}'), d.tree, d.generation,
       d.author, d.author_email, d.authored, d.author_offset,
       d.committer, d.committer_email, d.committed, d.committer_offset, d.message, d.changed_paths
FROM unnest(:hashes::text[], :trees::text[], :parents::text[], :generations::bigint[],
            :author_names::text[], :author_emails::text[],
            :author_timestamps::timestamptz[], :author_offsets::smallint[],
            :committer_names::text[], :committer_emails::text[],
            :committer_timestamps::timestamptz[], :committer_offsets::smallint[], :messages::text[],
            :changed_paths::bytea[])
     AS d (hash, tree, parents, generation, author, author_email, authored, author_offset,
           committer, committer_email, committed, committer_offset, message, changed_paths)
ORDER BY d.hash
ON CONFLICT (repo_id, hash) DO UPDATE SET generation = commits.generation WHERE false
RETURNING hash;
