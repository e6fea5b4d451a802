-- name: take_mutex
-- Waits for the mutex of a repository's locks, and returns the time of the repository.
SELECT take_lock_mutex($1);

-- name: share_mutex
-- Keeps the locks of a repository as they are until the end of the transaction; returns the time.
SELECT share_lock_mutex($1);
