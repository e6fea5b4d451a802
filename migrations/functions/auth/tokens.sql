-- When an API token works.

-- Whether a token and all those that it was made with are live: neither revoked nor expired.
CREATE OR REPLACE FUNCTION token_is_live(p_token_id UUID)
RETURNS BOOLEAN
LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE chain AS (
        SELECT t.parent_id, t.revoked_at, t.expires_at FROM api_tokens t WHERE t.id = p_token_id
        UNION ALL
        SELECT p.parent_id, p.revoked_at, p.expires_at FROM chain c JOIN api_tokens p ON p.id = c.parent_id
    )
    SELECT bool_and(revoked_at IS NULL AND coalesce(expires_at > now(), TRUE)) FROM chain
$$;
