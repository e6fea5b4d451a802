-- name: list_ssh_keys
-- SSH keys of a user, newest first, after ($2, $3).
SELECT id, name, public_key, fingerprint, key_type, created_at, last_used_at
FROM ssh_keys
WHERE user_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
ORDER BY created_at DESC, id DESC
LIMIT $4;
