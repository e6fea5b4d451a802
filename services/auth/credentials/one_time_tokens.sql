-- name: issue
-- Stores a token for a purpose; returns when it ends.
INSERT INTO one_time_tokens (purpose, user_id, token_hash, context, expires_at, ip_address)
VALUES (:purpose, :user_id, :token_hash, :context::jsonb, clock_timestamp() + :life, :ip_address::inet)
RETURNING expires_at;

-- name: spend
-- Uses a token ($2: its hash) up; no row if it is not good for the purpose, or not any more.
UPDATE one_time_tokens SET used_at = clock_timestamp()
WHERE token_hash = $2 AND purpose = $1 AND used_at IS NULL AND expires_at > clock_timestamp()
RETURNING user_id, context::text;

-- name: withdraw
-- Ends the tokens of an account ($2) for a purpose.
UPDATE one_time_tokens SET expires_at = clock_timestamp()
WHERE purpose = $1 AND user_id = $2 AND used_at IS NULL AND expires_at > clock_timestamp();

-- name: spend_sealed
-- Keeps that a challenge was used, for as long as it could be used again; no row if it was before, or has ended.
INSERT INTO one_time_tokens (purpose, user_id, token_hash, expires_at, used_at)
SELECT :purpose, :user_id::uuid, :token_hash, :expires_at::timestamptz, clock_timestamp()
WHERE :expires_at::timestamptz > clock_timestamp()
ON CONFLICT (token_hash) DO NOTHING
RETURNING id;
