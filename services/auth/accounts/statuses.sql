-- name: suspend
-- Bars an account, by its username in lower case, for a reason ($2) until a time ($3, NULL = until it is reinstated); no
-- row if there is none, or it is deleted.
UPDATE users SET status = 'suspended', status_reason = $2, status_until = $3,
                 status_before = CASE status WHEN 'suspended' THEN status_before ELSE status END
WHERE lower(username) = $1 AND status <> 'deleted'
RETURNING id, username, email, email_key;

-- name: reinstate
-- Lets an account that is barred back in, unless it still waits for its address; no row if it is not barred.
UPDATE users SET status = CASE WHEN email_verified THEN 'active' ELSE coalesce(status_before, 'active') END,
                 status_reason = NULL, status_until = NULL, status_before = NULL
WHERE lower(username) = $1 AND status = 'suspended'
RETURNING id, username;

-- name: end_suspensions
-- Lets accounts back in whose time is over, unless they still wait for their addresses.
UPDATE users SET status = CASE WHEN email_verified THEN 'active' ELSE coalesce(status_before, 'active') END,
                 status_reason = NULL, status_until = NULL, status_before = NULL
WHERE id IN (SELECT id FROM users WHERE status = 'suspended' AND status_until <= clock_timestamp()
             ORDER BY id LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id, username;
