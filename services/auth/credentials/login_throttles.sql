-- name: longest_wait
-- For how many seconds attempts from any of the buckets are still refused.
SELECT extract(epoch FROM max(blocked_until) - clock_timestamp())::float
FROM login_throttles WHERE bucket = ANY ($1::text[]);

-- name: count_failure
-- Counts a failure per bucket ($1) against its limit ($2) within 15 minutes. At the limit the bucket is
-- closed for a minute, and for twice as long with each further failure, up to a day.
INSERT INTO login_throttles AS t (bucket, failures)
SELECT f.bucket, 1 FROM unnest($1::text[]) AS f (bucket) ORDER BY f.bucket
ON CONFLICT (bucket) DO UPDATE SET
    failures = CASE WHEN t.window_started_at < clock_timestamp() - interval '15 minutes'
                     AND coalesce(t.blocked_until < clock_timestamp() - interval '15 minutes', true)
                    THEN 1 ELSE t.failures + 1 END,
    window_started_at = CASE WHEN t.window_started_at < clock_timestamp() - interval '15 minutes'
                              AND coalesce(t.blocked_until < clock_timestamp() - interval '15 minutes', true)
                             THEN clock_timestamp() ELSE t.window_started_at END,
    blocked_until = (
        SELECT CASE WHEN t.failures + 1 >= l.most
                    THEN clock_timestamp() + least(interval '1 minute' * 2 ^ least(t.failures + 1 - l.most, 11),
                                                   interval '1 day') END
        FROM unnest($1::text[], $2::int[]) AS l (bucket, most) WHERE l.bucket = t.bucket);

-- name: forget_failures
-- Forgets the failures of a login from its network after it succeeded there.
DELETE FROM login_throttles WHERE bucket = $1;
