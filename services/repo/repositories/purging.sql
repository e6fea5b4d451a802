-- name: find_due
-- Up to $2 repositories that were deleted $1 ago, those first that no purge has begun with.
SELECT id FROM repositories WHERE deleted_at <= statement_timestamp() - $1::interval
ORDER BY purge_started_at NULLS FIRST, deleted_at
LIMIT $2;

-- name: lock_repository
-- Waits for uploads and pushes, and for who brings it back.
SELECT FROM repositories WHERE id = $1 AND close_repository(id) FOR UPDATE;

-- name: begin_purge
-- Says that a repository that was deleted $2 ago cannot be brought back any more.
UPDATE repositories SET purge_started_at = coalesce(purge_started_at, clock_timestamp())
WHERE id = $1 AND deleted_at <= clock_timestamp() - $2::interval
RETURNING id;

-- name: release_chunks
-- Takes up to $3 chunks after one ($2) from the repository. What nobody else holds may go after $4.
SELECT last, released AS count FROM release_repository_chunks($1, $2, $3, $4);

-- name: delete_branches
-- Deletes up to $3 branches after one ($2).
WITH page AS MATERIALIZED (
    SELECT name FROM branches WHERE repo_id = $1 AND name > $2::text COLLATE "C" ORDER BY name LIMIT $3
), gone AS (
    DELETE FROM branches b USING page p WHERE b.repo_id = $1 AND b.name = p.name RETURNING b.name
)
SELECT (SELECT max(name) FROM page) AS last, (SELECT count(*) FROM gone) AS count;

-- name: delete_tags
-- Deletes up to $3 tags after one ($2).
WITH page AS MATERIALIZED (
    SELECT name FROM tags WHERE repo_id = $1 AND name > $2::text COLLATE "C" ORDER BY name LIMIT $3
), gone AS (
    DELETE FROM tags t USING page p WHERE t.repo_id = $1 AND t.name = p.name RETURNING t.name
)
SELECT (SELECT max(name) FROM page) AS last, (SELECT count(*) FROM gone) AS count;

-- name: delete_former_heads
-- Deletes up to $3 former heads after one ($2).
WITH page AS MATERIALIZED (
    SELECT commit_hash FROM former_heads
    WHERE repo_id = $1 AND commit_hash > $2::text COLLATE "C" ORDER BY commit_hash LIMIT $3
), gone AS (
    DELETE FROM former_heads f USING page p WHERE f.repo_id = $1 AND f.commit_hash = p.commit_hash
    RETURNING f.commit_hash
)
SELECT (SELECT max(commit_hash) FROM page) AS last, (SELECT count(*) FROM gone) AS count;

-- name: delete_commits
-- Deletes up to $3 commits after one ($2).
WITH page AS MATERIALIZED (
    SELECT hash FROM commits WHERE repo_id = $1 AND hash > $2::text COLLATE "C" ORDER BY hash LIMIT $3
), gone AS (
    DELETE FROM commits c USING page p WHERE c.repo_id = $1 AND c.hash = p.hash RETURNING c.hash
)
SELECT (SELECT max(hash) FROM page) AS last, (SELECT count(*) FROM gone) AS count;

-- name: delete_assets
-- Deletes up to $3 assets after one ($2).
WITH page AS MATERIALIZED (
    SELECT hash FROM assets WHERE repo_id = $1 AND hash > $2::text COLLATE "C" ORDER BY hash LIMIT $3
), gone AS (
    DELETE FROM assets a USING page p WHERE a.repo_id = $1 AND a.hash = p.hash RETURNING a.hash
)
SELECT (SELECT max(hash) FROM page) AS last, (SELECT count(*) FROM gone) AS count;

-- name: find_manifest
-- A row, if the repository has a manifest.
SELECT hash FROM manifests WHERE repo_id = $1 LIMIT 1;

-- name: delete_manifests
-- Deletes of up to $3 manifests after one ($2) those to which no other one is a delta.
WITH page AS MATERIALIZED (
    SELECT hash FROM manifests WHERE repo_id = $1 AND hash > $2::text COLLATE "C" ORDER BY hash LIMIT $3
), gone AS (
    DELETE FROM manifests m USING page p
    WHERE m.repo_id = $1 AND m.hash = p.hash
      AND NOT EXISTS (SELECT FROM manifests d WHERE d.delta_base = m.hash AND d.repo_id = $1)
    RETURNING m.hash
)
SELECT (SELECT max(hash) FROM page) AS last, (SELECT count(*) FROM gone) AS count;

-- name: delete_deliveries
-- Deletes up to $3 attempts of the repository's webhooks, after one ($2).
WITH page AS MATERIALIZED (
    SELECT d.id FROM webhook_deliveries d
    WHERE d.webhook_id = ANY (ARRAY(SELECT w.id FROM webhooks w WHERE w.repo_id = $1))
      AND $2::text IS NOT NULL
    LIMIT $3
), gone AS (
    DELETE FROM webhook_deliveries d USING page p WHERE d.id = p.id RETURNING d.id
)
SELECT (SELECT max(id::text) FROM page) AS last, (SELECT count(*) FROM gone) AS count;

-- name: delete_locks
-- Deletes up to $3 locks and entries of their history.
SELECT CASE WHEN n > 0 AND $2::text IS NOT NULL THEN 'more' END AS last, n AS count
FROM purge_locks($1, $3) AS n;

-- name: get_purged
-- The name of a repository that is being purged; it is locked.
SELECT name FROM repositories WHERE id = $1 AND purge_started_at IS NOT NULL AND close_repository(id) FOR UPDATE;

-- name: delete_repository
-- Deletes a repository in which nothing is left but what goes with it.
DELETE FROM repositories WHERE id = $1;
