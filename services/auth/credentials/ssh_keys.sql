-- name: lock_account
-- Makes additions of one account wait for each other.
SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE;

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
