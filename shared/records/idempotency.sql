-- name: claim
-- Takes a request id for this transaction; no row if it was taken before. Waits for a concurrent
-- transaction that is taking it.
INSERT INTO idempotency_keys (method, subject, request_id, fingerprint)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING true;

-- name: keep
-- Stores the first result.
UPDATE idempotency_keys SET response = $4 WHERE method = $1 AND subject = $2 AND request_id = $3;

-- name: first_result
-- The first result of a request id.
SELECT fingerprint, response FROM idempotency_keys
WHERE method = $1 AND subject = $2 AND request_id = $3;
