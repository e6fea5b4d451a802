-- name: touch_sessions
-- Sets the last use of sessions ($1), each with the address (NULL = not known), and of their users, to now. Locks the
-- sessions in the order of their ids, and leaves out those that another transaction has locked.
WITH touched AS (
    UPDATE sessions
    SET last_active_at = now(), last_ip = coalesce(($2::text[])[array_position($1::uuid[], id)]::inet, last_ip)
    WHERE id = ANY (ARRAY(
        SELECT id FROM sessions WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))
    RETURNING user_id
)
UPDATE users u SET last_active_at = now()
WHERE u.id = ANY (ARRAY(SELECT t.user_id FROM touched t))
  AND coalesce(u.last_active_at < now() - interval '1 minute', true);

-- name: touch_tokens
-- Sets the last use of API tokens ($1), each with the address (NULL = not known), to now, but for those that another
-- transaction has locked.
UPDATE api_tokens
SET last_used_at = now(), last_used_ip = coalesce(($2::text[])[array_position($1::uuid[], id)]::inet, last_used_ip)
WHERE id = ANY (ARRAY(
    SELECT id FROM api_tokens WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED));

-- name: touch_ssh_keys
-- Sets the last use of SSH keys ($1) to now, but for those that another transaction has locked.
UPDATE ssh_keys SET last_used_at = now()
WHERE id = ANY (ARRAY(
    SELECT id FROM ssh_keys WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED));

-- name: note_failures
-- Adds to the accounts' own records of wrong passwords ($1, $2: how many), for their owners and the operator.
UPDATE user_credentials
SET failed_login_attempts = failed_login_attempts + ($2::int[])[array_position($1::uuid[], user_id)], last_failed_login_at = now()
WHERE user_id = ANY (ARRAY(
    SELECT user_id FROM user_credentials WHERE user_id = ANY ($1::uuid[]) ORDER BY user_id FOR NO KEY UPDATE));
