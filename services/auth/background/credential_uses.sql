-- name: touch_sessions
-- Sets the last use of sessions ($1), each with the address (NULL = not known), and of their users, to now. Locks the
-- sessions in the order of their ids, and leaves out those that another transaction has locked.
WITH used AS (
    SELECT s.id, g.address
    FROM unnest($1::uuid[], $2::text[]) AS g (id, address) JOIN sessions s ON s.id = g.id
    ORDER BY s.id FOR NO KEY UPDATE OF s SKIP LOCKED
), touched AS (
    UPDATE sessions s SET last_active_at = now(), last_ip = coalesce(used.address::inet, s.last_ip)
    FROM used WHERE s.id = used.id RETURNING s.user_id
)
UPDATE users u SET last_active_at = now()
WHERE u.id IN (SELECT t.user_id FROM touched t)
  AND coalesce(u.last_active_at < now() - interval '1 minute', true);

-- name: touch_tokens
-- Sets the last use of API tokens ($1), each with the address (NULL = not known), to now, but for those that another
-- transaction has locked.
WITH used AS (
    SELECT t.id, g.address
    FROM unnest($1::uuid[], $2::text[]) AS g (id, address) JOIN api_tokens t ON t.id = g.id
    ORDER BY t.id FOR NO KEY UPDATE OF t SKIP LOCKED
)
UPDATE api_tokens t SET last_used_at = now(), last_used_ip = coalesce(used.address::inet, t.last_used_ip)
FROM used WHERE t.id = used.id;

-- name: touch_ssh_keys
-- Sets the last use of SSH keys ($1) to now, but for those that another transaction has locked.
WITH used AS (
    SELECT id FROM ssh_keys WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE ssh_keys k SET last_used_at = now() FROM used WHERE k.id = used.id;

-- name: note_failures
-- Adds to the accounts' own records of wrong passwords ($1, $2: how many), for their owners and the operator.
WITH failed AS (
    SELECT c.user_id, f.count
    FROM user_credentials c JOIN unnest($1::uuid[], $2::int[]) AS f (user_id, count) USING (user_id)
    ORDER BY c.user_id FOR NO KEY UPDATE OF c
)
UPDATE user_credentials c
SET failed_login_attempts = c.failed_login_attempts + f.count, last_failed_login_at = now()
FROM failed f WHERE c.user_id = f.user_id;
