-- name: lock_account
-- Makes changes of an account follow one another; whom mails go to.
SELECT id, username, email, email_key, email_verified FROM users WHERE id = $1 FOR NO KEY UPDATE;

-- name: is_waiting
-- Whether a link of a change ($2) of an account was not opened yet.
SELECT EXISTS (SELECT FROM one_time_tokens
               WHERE user_id = $1 AND purpose = 'change_email' AND context ->> 'change' = $2 AND used_at IS NULL);

-- name: change_address
-- Gives an account a verified address ($2), folded ($3).
UPDATE users SET email = $2, email_folded = $3, email_verified = true,
                 status = CASE status WHEN 'pending_verification' THEN 'active' ELSE status END
WHERE id = $1;
