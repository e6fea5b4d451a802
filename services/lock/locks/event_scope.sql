-- name: lock_time
-- The time of a repository's locks when the clock shows $2.
SELECT greatest($2::timestamptz, (SELECT high_water FROM lock_clocks WHERE repo_id = $1)) AS time;
