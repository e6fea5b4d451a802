-- name: create_user
-- Opens an account. Its name is claimed by a trigger: namespaces_pkey means that it is taken.
INSERT INTO users (username, email, email_folded, name, status) VALUES ($1, $2, $3, $4, 'active')
RETURNING id, username, email, email_verified, name, status, created_at;

-- name: create_credentials
-- Stores the password of a new account. The salt repeats the one inside the PHC string.
INSERT INTO user_credentials (user_id, password_hash, password_salt, password_algorithm)
VALUES ($1, $2, $3, $4);

-- name: user_by_id
-- One account.
SELECT id, username, email, email_verified, name, status, created_at FROM users WHERE id = $1;
