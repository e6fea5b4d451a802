-- History held against itself.

-- name: list_repositories
-- Every repository that is not deleted: of one that is purged, some rows are gone.
SELECT id FROM repositories WHERE deleted_at IS NULL ORDER BY id;

-- name: list_manifests
-- The manifests of repository $1.
SELECT hash FROM manifests WHERE repo_id = $1 ORDER BY hash;

-- name: missing_parents
-- Parents of commits of repository $1 that are not there.
SELECT c.hash, p.hash AS parent
FROM commits c CROSS JOIN unnest(c.parent_hashes) AS p (hash)
WHERE c.repo_id = $1 AND NOT EXISTS (SELECT FROM commits o WHERE o.repo_id = $1 AND o.hash = p.hash)
ORDER BY c.hash;

-- name: list_assets
-- The contents of repository $1, how many manifests are said to have each, and which are obliterated.
SELECT a.hash, a.ref_count, o.hash IS NOT NULL AS is_obliterated
FROM assets a LEFT JOIN obliterations o USING (repo_id, hash)
WHERE a.repo_id = $1;
