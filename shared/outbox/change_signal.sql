-- name: changed_repositories
-- Repositories with lock events of transaction $1 or later ones that have settled, and the transaction at
-- which the next poll begins.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS settled,
       ARRAY(SELECT DISTINCT e.repo_id FROM settled_events e
             WHERE (e.xid, e.id) > ($1::text::xid8, 0::bigint) AND e.type LIKE 'lock.%'
               AND e.repo_id IS NOT NULL) AS repositories;

-- name: hint
-- Tells every process that the locks of some repositories have changed. It need not survive a crash, so it does
-- not wait for the disk.
SELECT set_config('synchronous_commit', 'off', true), pg_notify('dits_lock_events', id::text) FROM unnest($1::uuid[]) AS id;
