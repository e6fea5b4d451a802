-- name: count_push
-- Adds what a push brought to the repository's counters, and then sets the time of the last push.
WITH counted AS (
    UPDATE repository_stats
    SET commit_count = commit_count + $2, file_count = file_count + $3, logical_bytes = logical_bytes + $4,
        last_activity_at = clock_timestamp()
    WHERE repo_id = $1
    RETURNING repo_id
)
UPDATE repositories SET pushed_at = clock_timestamp() FROM counted WHERE id = counted.repo_id;
