-- name: purge_throttles
-- Deletes up to $1 buckets that would count from zero, but for those in use, and returns how many.
WITH old AS (
    SELECT bucket FROM login_throttles
    WHERE window_started_at < statement_timestamp() - interval '15 minutes'
      AND coalesce(blocked_until < clock_timestamp(), true)
    LIMIT $1 FOR UPDATE SKIP LOCKED
), purged AS (
    DELETE FROM login_throttles t USING old WHERE t.bucket = old.bucket RETURNING 1
)
SELECT count(*) FROM purged;
