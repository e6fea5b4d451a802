-- name: reserve
-- Counts an attempt in the buckets $1 with the limits $2. Returns 0, or the seconds to wait if one is closed.
SELECT reserve_attempt($1, $2);

-- name: give_back
-- Takes an attempt back in the buckets $1 with the limits $2.
SELECT give_back_attempt($1, $2);

-- name: forget
-- Forgets all attempts of a bucket.
DELETE FROM login_throttles WHERE bucket = $1;
