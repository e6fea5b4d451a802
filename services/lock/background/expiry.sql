-- name: due
-- Repositories with locks whose time is up, or that end within $1 without their owners knowing. By the
-- time of the statement, which an index can be searched for.
WITH due AS MATERIALIZED (
    SELECT repo_id FROM locks
    WHERE expires_at <= statement_timestamp() + $1::interval
      AND (expires_at <= statement_timestamp() OR warned_at IS NULL)
)
SELECT DISTINCT repo_id FROM due;

-- name: warn
-- Marks up to $4 locks that end within $3, and returns them by owner.
SELECT owner_id, path, expires_at FROM warn_of_locks($1, $2, $3, $4) ORDER BY owner_id, path;
