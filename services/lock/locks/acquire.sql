-- name: acquire
-- Grants locks on all of the paths $2 for $3 in mode $4 to user $5, if nothing bears on any of them.
SELECT server_time, lock_id, path, fence FROM acquire_locks($1, $2, $3, $4, $5, $6, $7, $8);

-- name: judge
-- What bears on the paths $2 for user $3, who wants them in mode $4 at $5; $6: what shall be taken.
SELECT * FROM judge_locks($1, $2, $3, $4, $5, $6);

-- name: grant_locks
-- Grants locks on the paths $2 at $3 until $4, in mode $5 to user $6; user $7 did it.
SELECT lock_id, path, fence FROM grant_locks($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
