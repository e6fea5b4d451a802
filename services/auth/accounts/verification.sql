-- name: verify_address
-- Makes the address of an account a verified one, and the account active if it waits for that.
UPDATE users
SET email_verified = true, status = CASE status WHEN 'pending_verification' THEN 'active' ELSE status END
WHERE id = $1
RETURNING username;
