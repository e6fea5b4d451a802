-- name: recipient
-- Address and status of a user.
SELECT email, email_verified, status FROM users WHERE id = $1;
