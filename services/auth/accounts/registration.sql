-- name: create_user
-- Opens an account. Its name is claimed by a trigger: namespaces_pkey means that it is taken.
INSERT INTO users (username, email, email_folded, name, status) VALUES (:username, :email, :email_folded, :name, :status)
RETURNING *;

-- name: taken
-- Whether a username, and an address as fold_login spells it ($2), belong to an account already, and whether the username
-- is what another owner was called.
SELECT EXISTS (SELECT FROM owner_names WHERE name_key = lower($1 COLLATE "C")) AS username,
       EXISTS (SELECT FROM former_names WHERE name_key = lower($1 COLLATE "C")) AS is_former,
       EXISTS (SELECT FROM users WHERE email_key = $2) AS email;

-- name: create_credentials
-- Stores the password of a new account. The salt repeats the one inside the PHC string.
INSERT INTO user_credentials (user_id, password_hash, password_salt, password_algorithm)
VALUES ($1, $2, $3, $4);
