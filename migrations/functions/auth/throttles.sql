-- Attempts at passwords, counted in buckets: login_throttles. A bucket counts for 15 minutes, and then from zero.

-- How many seconds attempts from any of the buckets are still refused; 0 = they are not.
CREATE OR REPLACE FUNCTION throttle_wait(p_buckets TEXT[])
RETURNS DOUBLE PRECISION
LANGUAGE sql VOLATILE
AS $$
    SELECT greatest(0, extract(epoch FROM max(blocked_until) - clock_timestamp()))::DOUBLE PRECISION
    FROM login_throttles WHERE bucket = ANY (p_buckets)
$$;

-- Counts an attempt in all buckets, each with its limit, and returns 0. If one of them is closed, it counts
-- nothing and returns the wait in seconds. The attempt that reaches the limit closes the bucket for a minute,
-- each further one for twice as long, up to 15 minutes.
CREATE OR REPLACE FUNCTION reserve_attempt(p_buckets TEXT[], p_limits INT[])
RETURNS DOUBLE PRECISION
LANGUAGE plpgsql
AS $$
DECLARE
    v_wait DOUBLE PRECISION := throttle_wait(p_buckets);
BEGIN
    IF v_wait > 0 THEN
        RETURN v_wait;
    END IF;
    -- Inserts what is missing, and locks all of them in the order of their names.
    INSERT INTO login_throttles AS t (bucket, failures)
    SELECT b.bucket, 0 FROM unnest(p_buckets) AS b (bucket) ORDER BY b.bucket
    ON CONFLICT (bucket) DO UPDATE SET failures = t.failures;
    v_wait := throttle_wait(p_buckets);
    IF v_wait > 0 THEN
        RETURN v_wait;
    END IF;
    UPDATE login_throttles t SET
        failures = n.failures,
        window_started_at = n.started,
        blocked_until = CASE WHEN n.failures >= n.most
                             THEN clock_timestamp() + least(interval '1 minute' * 2 ^ least(n.failures - n.most, 4),
                                                            interval '15 minutes') END
    FROM (SELECT o.bucket, l.most,
                 CASE WHEN x.is_over THEN 1 ELSE o.failures + 1 END AS failures,
                 CASE WHEN x.is_over THEN clock_timestamp() ELSE o.window_started_at END AS started
          FROM unnest(p_buckets, p_limits) AS l (bucket, most)
          JOIN login_throttles o ON o.bucket = l.bucket
          CROSS JOIN LATERAL (SELECT o.window_started_at < clock_timestamp() - interval '15 minutes' AS is_over) x) n
    WHERE t.bucket = n.bucket;
    RETURN 0;
END;
$$;

-- Takes back an attempt that did not fail, in all buckets with their limits; opens those that it had closed.
CREATE OR REPLACE FUNCTION give_back_attempt(p_buckets TEXT[], p_limits INT[])
RETURNS VOID
LANGUAGE sql
AS $$
    UPDATE login_throttles t SET
        failures = greatest(t.failures - 1, 0),
        blocked_until = CASE WHEN t.failures > o.most THEN t.blocked_until END
    FROM (SELECT i.bucket, l.most
          FROM login_throttles i JOIN unnest(p_buckets, p_limits) AS l (bucket, most) ON l.bucket = i.bucket
          ORDER BY i.bucket FOR UPDATE OF i) o
    WHERE t.bucket = o.bucket
$$;
