-- name: find_key
-- The key of an account ($1, NULL = there is none) with a fingerprint.
SELECT id FROM ssh_keys WHERE user_id = $1 AND fingerprint = $2;

-- name: hold_key
-- Keeps a key from being deleted before the transaction ends; no row if it was.
SELECT true FROM ssh_keys WHERE id = $1 FOR KEY SHARE;
