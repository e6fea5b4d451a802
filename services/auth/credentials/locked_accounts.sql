-- name: lock_account
-- Locks an account; no row if it cannot log in any more.
SELECT id FROM users WHERE id = $1 AND status = 'active' FOR NO KEY UPDATE;
