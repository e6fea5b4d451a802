-- name: release_locks
-- Ends those of the locks $3 that user $2 holds. The first row has only the time.
SELECT server_time, lock_id, released FROM release_locks($1, $2, $3);
