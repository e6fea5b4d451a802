-- name: list_condemned
-- The condemned manifests of a repository.
SELECT hash FROM manifests WHERE repo_id = $1 AND condemned IS NOT NULL;

-- name: find_condemned
-- Those of the manifests $2 that were condemned before a search ($3).
SELECT hash FROM manifests WHERE repo_id = $1 AND hash = ANY ($2::text[]) AND condemned < $3::bigint;

-- name: hold_manifests
-- Locks those of some manifests that no other transaction has locked; pushes lock what they bring or name.
SELECT hash, condemned FROM manifests WHERE repo_id = $1 AND hash = ANY ($2::text[])
ORDER BY hash FOR UPDATE SKIP LOCKED;

-- name: condemn
-- Condemns manifests that are locked.
UPDATE manifests m SET condemned = n.number
FROM (SELECT nextval('manifest_condemnations') AS number) n
WHERE m.repo_id = $1 AND m.hash = ANY ($2::text[]);

-- name: pardon
-- Makes manifests stay that are locked.
UPDATE manifests SET condemned = NULL WHERE repo_id = $1 AND hash = ANY ($2::text[]) AND condemned IS NOT NULL;

-- name: hold_repository
-- A row, if the repository is not deleted; it stays so to the end of the transaction.
SELECT id FROM repositories WHERE id = $1 AND deleted_at IS NULL AND share_repository(id) FOR KEY SHARE;

-- name: hold_condemned
-- Locks those of the manifests $2 that were condemned before a search ($3), and that no other transaction has locked.
SELECT hash FROM manifests WHERE repo_id = $1 AND hash = ANY ($2::text[]) AND condemned < $3::bigint
ORDER BY hash FOR UPDATE SKIP LOCKED;

-- name: delete_manifests
-- Deletes those of some manifests, which are locked, to which none is stored as a delta.
DELETE FROM manifests m
WHERE m.repo_id = $1 AND m.hash = ANY ($2::text[])
  AND NOT EXISTS (SELECT FROM manifests d WHERE d.delta_base = m.hash AND d.repo_id = $1 OFFSET 0)
RETURNING m.hash;
