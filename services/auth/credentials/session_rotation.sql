-- name: rotate
-- Gives a live session another token ($2: its hash).
UPDATE sessions SET token_hash = $2, token_issued_at = clock_timestamp()
WHERE id = $1 AND revoked_at IS NULL AND expires_at > clock_timestamp()
RETURNING id, expires_at;

-- name: forget_former_tokens
-- Ends the tokens that a session had before, which RefreshSession lets live on for a while.
DELETE FROM former_session_tokens WHERE session_id = $1;
