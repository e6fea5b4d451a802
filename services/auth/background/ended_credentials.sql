-- name: purge_sessions
-- Deletes up to $2 sessions that expired longer than $1 ago, revoked or not, and returns how many.
WITH purged AS (
    DELETE FROM sessions WHERE id = ANY (ARRAY(
        SELECT id FROM sessions WHERE expires_at < now() - $1::interval
        ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) FROM purged;

-- name: purge_api_tokens
-- Deletes up to $2 API tokens that expired or were revoked longer than $1 ago, and returns how many; those that were
-- made with them, which ended with them, go as well.
WITH purged AS (
    DELETE FROM api_tokens WHERE id = ANY (ARRAY(
        SELECT id FROM api_tokens WHERE least(expires_at, revoked_at) < now() - $1::interval
        LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) FROM purged;

-- name: purge_one_time_tokens
-- Deletes up to $2 one-time tokens that expired longer than $1 ago, and returns how many.
WITH purged AS (
    DELETE FROM one_time_tokens WHERE id = ANY (ARRAY(
        SELECT id FROM one_time_tokens WHERE expires_at < now() - $1::interval
        ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) FROM purged;

-- name: purge_invitations
-- Deletes up to $2 invitations that expired longer than $1 ago, accepted or not, and returns how many.
WITH purged AS (
    DELETE FROM organization_invitations WHERE id = ANY (ARRAY(
        SELECT id FROM organization_invitations WHERE expires_at < now() - $1::interval
        ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) FROM purged;
