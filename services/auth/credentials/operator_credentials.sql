-- name: find_user
-- A user by the username in lower case.
SELECT id FROM users WHERE lower(username) = $1;

-- name: live_tokens
-- API tokens of a user that have not ended, in order.
SELECT id FROM api_tokens
WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY id;

-- name: kinds
-- Which of some ids are sessions and API tokens of a user, and have not ended.
SELECT id, true AS is_session, revoked_at IS NULL AND expires_at > now() AS is_live
FROM sessions WHERE user_id = $1 AND id = ANY ($2::uuid[])
UNION ALL
SELECT id, false, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
FROM api_tokens WHERE user_id = $1 AND id = ANY ($2::uuid[]);
