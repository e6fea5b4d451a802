-- name: touch_sessions
-- Sets the last use of sessions ($1), and of their users, to now. Locks the sessions in the order of their ids, and
-- leaves out those that another transaction has locked.
WITH used AS (
    SELECT id FROM sessions WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
), touched AS (
    UPDATE sessions s SET last_active_at = now() FROM used WHERE s.id = used.id RETURNING s.user_id
)
UPDATE users u SET last_active_at = now()
WHERE u.id IN (SELECT t.user_id FROM touched t)
  AND coalesce(u.last_active_at < now() - interval '1 minute', true);

-- name: touch_tokens
-- Sets the last use of API tokens ($1) to now, but for those that another transaction has locked.
WITH used AS (
    SELECT id FROM api_tokens WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE api_tokens t SET last_used_at = now() FROM used WHERE t.id = used.id;

-- name: touch_ssh_keys
-- Sets the last use of SSH keys ($1) to now, but for those that another transaction has locked.
WITH used AS (
    SELECT id FROM ssh_keys WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE ssh_keys k SET last_used_at = now() FROM used WHERE k.id = used.id;
