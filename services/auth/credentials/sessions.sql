-- name: list_sessions
-- Up to :count sessions of a user after a position (NULL = from the beginning), newest first; only live ones unless
-- :include_ended.
SELECT * FROM (
    SELECT id, device_id, user_agent, created_at, last_active_at, expires_at, revoked_at,
           network_of(ip_address) AS login_network,
           network_of(last_ip) AS last_network,
           revoked_at IS NULL AND expires_at > now() AND last_active_at > now() - interval '30 minutes' AS is_live
    FROM sessions
    WHERE user_id = :user_id
      AND (:created_at::timestamptz IS NULL OR (created_at, id) < (:created_at, :id::uuid))) s
WHERE s.is_live OR :include_ended
ORDER BY created_at DESC, id DESC
LIMIT :count;

-- name: end_session
-- Ends a session ($1) of a user ($2); once ended it stays ended at that time.
UPDATE sessions s SET revoked_at = coalesce(s.revoked_at, clock_timestamp())
FROM (SELECT id, revoked_at FROM sessions WHERE id = $1 AND user_id = $2 FOR NO KEY UPDATE) was
WHERE s.id = was.id
RETURNING s.id, s.device_id, was.revoked_at IS NULL AS ended_now;

-- name: lock_account
-- Makes logins of the account wait, so that none opens a session meanwhile.
SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE;

-- name: end_all_sessions
-- Ends the sessions of a user that were not ended and have not expired, but for one (NULL = all of them).
UPDATE sessions SET revoked_at = clock_timestamp()
WHERE id IN (SELECT id FROM sessions
             WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now() AND id IS DISTINCT FROM $2::uuid
             ORDER BY id FOR NO KEY UPDATE)
  AND revoked_at IS NULL
RETURNING id, device_id;
