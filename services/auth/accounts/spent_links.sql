-- name: lock_link
-- The account of a live token ($2: its hash) for one of some purposes. Makes changes of the account follow one another.
SELECT u.id, u.status, u.email_key, t.purpose
FROM one_time_tokens t JOIN users u ON u.id = t.user_id
WHERE t.token_hash = $2 AND t.purpose = ANY ($1::text[])
FOR NO KEY UPDATE OF u;
