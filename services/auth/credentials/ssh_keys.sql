-- name: count_keys
-- How many keys an account has.
SELECT count(*) FROM ssh_keys WHERE user_id = $1;

-- name: add_key
-- Stores a key; no row if any account has it.
INSERT INTO ssh_keys (user_id, name, public_key, fingerprint, key_type, created_at)
VALUES (:user_id, :name, :public_key, :fingerprint, :key_type, clock_timestamp())
ON CONFLICT (fingerprint) DO NOTHING
RETURNING id, name, public_key, fingerprint, key_type, created_at, last_used_at;

-- name: delete_key
-- Deletes a key of an account.
DELETE FROM ssh_keys WHERE id = $1 AND user_id = $2
RETURNING name, fingerprint;

-- name: announce_owner_change
-- Tells of the keys of some accounts ($1) that what their signatures are judged by is another; who did it ($2).
SELECT emit_event('key.owner_changed', NULL, NULL, $2, jsonb_build_object('key_id', id::text, 'fingerprint', fingerprint))
FROM ssh_keys WHERE user_id = ANY ($1::uuid[]) ORDER BY id;
