-- name: lock_now
-- Waits for the turn to change the locks of a repository, and returns the time that counts.
SELECT lock_now($1);

-- name: lock_hold
-- Keeps the locks of a repository as they are until the end of the transaction; returns the time.
SELECT lock_hold($1);
