-- name: next_repositories
-- Up to $2 repositories behind $1, by id, each with the number of the statement that counts it: of about $3 rows.
SELECT r.id, (sum(coalesce(s.commit_count + s.file_count + s.chunk_count, 0) + 100) OVER (ORDER BY r.id))::bigint
             / $3::bigint AS number
FROM (SELECT id FROM repositories WHERE id > $1 ORDER BY id LIMIT $2) r
LEFT JOIN repository_stats s ON s.repo_id = r.id
ORDER BY r.id;

-- name: add_missing_statistics
-- Gives each of some repositories ($1) its row.
INSERT INTO repository_stats (repo_id)
SELECT r.id FROM repositories r
WHERE r.id = ANY ($1::uuid[]) AND NOT EXISTS (SELECT FROM repository_stats s WHERE s.repo_id = r.id)
ON CONFLICT (repo_id) DO NOTHING;

-- name: allow_time
-- Lets the statements of this transaction take half an hour.
SELECT set_config('statement_timeout', '30min', true);

-- name: find_errors
-- By how much the statistics of some repositories ($1) are too low. One snapshot shows rows and statistics.
SELECT s.repo_id, s.calculated_at, s.last_activity_at AS seen_activity,
       greatest(r.pushed_at, c.latest, b.latest, t.latest) AS last_activity,
       c.n - s.commit_count AS commit_count,
       b.n - s.branch_count AS branch_count,
       t.n - s.tag_count AS tag_count,
       c.contributors - s.contributor_count AS contributor_count,
       a.n - s.file_count AS file_count,
       k.chunk_count - s.chunk_count AS chunk_count,
       k.storage_bytes - s.storage_bytes AS storage_bytes,
       a.bytes - s.logical_bytes AS logical_bytes
FROM repository_stats s
JOIN repositories r ON r.id = s.repo_id
CROSS JOIN LATERAL (SELECT count(*) AS n, count(DISTINCT lower(author_email)) AS contributors,
                           max(created_at) AS latest FROM commits WHERE repo_id = s.repo_id) c
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE NOT starts_with(name, 'shelves/')) AS n, max(updated_at) AS latest
                    FROM branches WHERE repo_id = s.repo_id) b
CROSS JOIN LATERAL (SELECT count(*) AS n, max(created_at) AS latest FROM tags WHERE repo_id = s.repo_id) t
CROSS JOIN LATERAL (SELECT count(*) AS n, coalesce(sum(size), 0)::bigint
                         - coalesce((SELECT sum(o.size) FROM assets o JOIN obliterations USING (repo_id, hash)
                                     WHERE o.repo_id = s.repo_id), 0)::bigint AS bytes
                    FROM assets WHERE repo_id = s.repo_id) a
CROSS JOIN LATERAL repository_chunk_totals(s.repo_id) k
WHERE s.repo_id = ANY ($1::uuid[])
ORDER BY s.repo_id;

-- name: correct_statistics
-- Adds to statistics what they are too low by. Statistics that were calculated since then are left alone; so is a time of
-- the last activity that a push has set since.
UPDATE repository_stats s SET
    commit_count = s.commit_count + e.commits,
    branch_count = s.branch_count + e.branches,
    tag_count = s.tag_count + e.tags,
    contributor_count = s.contributor_count + e.contributors,
    file_count = s.file_count + e.files,
    chunk_count = s.chunk_count + e.chunks,
    storage_bytes = s.storage_bytes + e.stored,
    logical_bytes = s.logical_bytes + e.logical,
    dedup_ratio = CASE WHEN s.storage_bytes + e.stored > 0
                       THEN (s.logical_bytes + e.logical)::float / (s.storage_bytes + e.stored) ELSE 1.0 END,
    last_activity_at = CASE WHEN s.last_activity_at IS DISTINCT FROM e.seen THEN s.last_activity_at
                            ELSE e.latest END,
    calculated_at = clock_timestamp()
FROM unnest(:repository_ids::uuid[], :calculated_at::timestamptz[], :seen_activity::timestamptz[],
            :last_activity::timestamptz[], :commit_count::bigint[], :branch_count::bigint[], :tag_count::bigint[],
            :contributor_count::bigint[], :file_count::bigint[], :chunk_count::bigint[], :storage_bytes::bigint[],
            :logical_bytes::bigint[])
    AS e (repo_id, calculated_at, seen, latest, commits, branches, tags, contributors, files, chunks, stored, logical)
WHERE s.repo_id = e.repo_id AND s.calculated_at = e.calculated_at;
