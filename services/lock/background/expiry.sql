-- name: due_repositories
-- Repositories with locks that have expired, or whose holders are to be warned. By the time of the statement, for
-- which an index can be searched.
WITH due AS MATERIALIZED (
    SELECT repo_id FROM locks
    WHERE expires_at <= statement_timestamp() + lock_warning()
      AND (expires_at <= statement_timestamp() OR warned_at IS NULL)
)
SELECT DISTINCT repo_id FROM due;

-- name: mark_warned_locks
-- Marks up to $3 locks whose holders are to be warned at $2, and returns how many.
SELECT count(*) FROM mark_warned_locks($1, $2, $3);
