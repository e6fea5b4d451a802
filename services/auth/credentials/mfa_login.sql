-- name: read_password
-- The PHC string of an account's password; NULL if it has none that counts.
SELECT CASE WHEN NOT force_password_change THEN password_hash END FROM user_credentials WHERE user_id = $1;
