-- name: due
-- Repositories with locks whose time is up, or that end within $1 without their owners knowing.
SELECT DISTINCT repo_id FROM locks
WHERE expires_at <= clock_timestamp()
   OR expires_at <= clock_timestamp() + $1::interval AND warned_at IS NULL;

-- name: lock_now
-- Waits for the turn to change the locks of a repository, and returns the time that counts.
SELECT lock_now($1);

-- name: end_expired
-- Writes the ends of up to $3 locks whose time was up by $2.
SELECT count(*) FROM end_locks(
    $1, ARRAY(SELECT id FROM locks WHERE repo_id = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3),
    $2, 'expired', NULL, NULL, 'lock.expired');

-- name: warn
-- Marks up to $4 locks that end within $3, and returns them by owner.
SELECT owner_id, path, expires_at FROM warn_of_locks($1, $2, $3, $4) ORDER BY owner_id, path;

-- name: purge_events
-- Throws away up to $2 old events.
SELECT purge_events($1, $2) AS count;
