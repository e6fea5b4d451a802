-- name: end_locks
-- Ends the locks $2 at $3, and returns each with the action that it ended by.
SELECT lock_id, action FROM end_locks($1, $2, $3, $4, $5, $6, $7);

-- name: end_expired
-- Writes the ends of up to $3 locks whose time was up by $2; found by the time, of which there is an index.
SELECT count(*) FROM end_locks(
    $1, ARRAY(SELECT id FROM locks WHERE (repo_id = $1) IS TRUE AND expires_at <= $2 ORDER BY expires_at LIMIT $3),
    $2, 'expired', NULL, NULL, 'lock.expired');
