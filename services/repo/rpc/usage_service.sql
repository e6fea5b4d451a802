-- name: list_snapshots
-- Snapshots of an organisation before a day ($2; NULL = up to the newest), the newest first.
SELECT snapshot_date, storage_bytes, bandwidth_bytes, active_users, repo_count, created_at
FROM billing_snapshots
WHERE org_id = $1 AND ($2::DATE IS NULL OR snapshot_date < $2)
ORDER BY snapshot_date DESC
LIMIT $3;
