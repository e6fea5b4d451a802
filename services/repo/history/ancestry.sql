-- name: known_commits
-- Those of some commits that the repository has.
SELECT hash, tree_hash, generation, parent_hashes
FROM commits WHERE repo_id = $1 AND hash = ANY ($2::text[]);

-- name: reaches
-- Whether $3, of generation $4, is one of the commits $2 or an ancestor of them.
WITH RECURSIVE reached AS (
    SELECT c.hash, c.parent_hashes, c.generation
    FROM commits c WHERE c.repo_id = $1 AND c.hash = ANY ($2::text[])
    UNION
    SELECT c.hash, c.parent_hashes, c.generation
    FROM reached r
    CROSS JOIN LATERAL unnest(r.parent_hashes) p
    JOIN commits c ON c.repo_id = $1 AND c.hash = p
    WHERE r.generation > $4
)
SELECT EXISTS (SELECT FROM reached WHERE hash = $3);

-- name: insert_commits
-- Adds commits, parents first; those that are there stay as they are. $4 lists parents with commas.
INSERT INTO commits (repo_id, hash, parent_hashes, tree_hash, generation,
                     author_name, author_email, author_timestamp, author_offset_minutes,
                     committer_name, committer_email, committer_timestamp, committer_offset_minutes,
                     message)
SELECT $1, d.hash, coalesce(string_to_array(nullif(d.parents, ''), ','), '{}'), d.tree, d.generation,
       d.author, d.author_email, d.authored, d.author_offset,
       d.committer, d.committer_email, d.committed, d.committer_offset, d.message
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[],
            $6::text[], $7::text[], $8::timestamptz[], $9::smallint[],
            $10::text[], $11::text[], $12::timestamptz[], $13::smallint[], $14::text[])
     AS d (hash, tree, parents, generation, author, author_email, authored, author_offset,
           committer, committer_email, committed, committer_offset, message)
ORDER BY d.hash
ON CONFLICT (repo_id, hash) DO NOTHING
RETURNING hash;
