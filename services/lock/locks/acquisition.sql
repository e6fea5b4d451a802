-- name: acquire_locks
-- Grants locks on all of the paths if no lock is met on any of them; otherwise returns one row without a lock. No row if the
-- repository is deleted, archived or disabled, or no longer :owner's, whose name is in lower case. A transfer of it is waited for
-- before the mutex is taken.
SELECT granted.server_time, granted.lock_id, granted.path, granted.fence
FROM (
    SELECT r.id FROM repository_identities r
    WHERE r.id = :repository_id AND r.deleted_at IS NULL AND NOT r.archived AND NOT r.disabled AND share_repository(r.id) AND EXISTS (
        SELECT FROM owner_identities o
        WHERE o.name_key = :owner AND o.owner_type = r.owner_type AND o.owner_id = r.owner_id
    )
    FOR KEY SHARE
) AS held
CROSS JOIN LATERAL acquire_locks(
    held.id, :paths, :ttl, ROW (:holder_id, :lock_type, :reason, NULL, :release_on_push)::lock_terms
) AS granted;
