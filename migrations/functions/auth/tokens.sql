-- When a credential works.

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

-- Whether a scope lets a token do something with repositories: organisations have rules for these scopes.
CREATE OR REPLACE FUNCTION scope_is_of_repositories(p_scope TEXT)
RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE
AS $$
    SELECT split_part(p_scope, ':', 1) IN ('repo', 'webhook', 'lock')
$$;

-- A token, and those above it: the one that made it, and so on.
CREATE OR REPLACE FUNCTION token_line(p_token_id UUID)
RETURNS TABLE (id UUID, generation SMALLINT, scopes TEXT[], created_at TIMESTAMPTZ, expires_at TIMESTAMPTZ)
LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE line AS (
        SELECT t.* FROM api_tokens t WHERE t.id = p_token_id
        UNION ALL
        SELECT p.* FROM line l JOIN api_tokens p ON p.id = l.parent_id
    )
    SELECT l.id, l.generation, l.scopes, l.created_at, l.expires_at FROM line l
$$;

-- The rule by which an organisation does not let a token reach its repositories; NULL = it lets it. The rules stand in
-- settings.token_policy, its scopes with all that they include. A token gets in nowhere where one above it does not.
CREATE OR REPLACE FUNCTION token_refusal(p_token_id UUID, p_org_id UUID)
RETURNS TEXT
LANGUAGE sql STABLE
AS $$
    SELECT r.rule
    FROM (SELECT t.generation, CASE
              WHEN NOT d.approved THEN 'rejected'
              WHEN t.expires_at > t.created_at + make_interval(days => (o.policy ->> 'longest_days')::int)
                   OR (t.expires_at IS NULL AND o.policy ? 'longest_days') THEN 'longest_days'
              WHEN o.policy ? 'allowed_scopes'
                   AND EXISTS (SELECT FROM unnest(t.scopes) s
                               WHERE scope_is_of_repositories(s) AND NOT o.policy -> 'allowed_scopes' ? s)
                   THEN 'allowed_scopes'
              WHEN o.policy ? 'needs_approval' AND d.approved IS NULL THEN 'needs_approval'
          END AS rule
          FROM token_line(p_token_id) t
          JOIN (SELECT id, settings -> 'token_policy' AS policy FROM organizations) o ON o.id = p_org_id
          LEFT JOIN token_decisions d ON d.token_id = t.id AND d.org_id = o.id) r
    WHERE r.rule IS NOT NULL
    ORDER BY r.generation DESC LIMIT 1
$$;

-- Those organisations on whose repositories a user was given rights, and which do not let a token reach these.
CREATE OR REPLACE FUNCTION refusing_organizations(p_token_id UUID, p_user_id UUID)
RETURNS UUID[]
LANGUAGE sql STABLE
AS $$
    SELECT ARRAY(
        SELECT o.id
        FROM organizations o
        WHERE o.id IN (
                SELECT m.org_id FROM organization_members m WHERE m.user_id = p_user_id
                UNION
                SELECT r.owner_id FROM given_singly() g JOIN repository_identities r ON r.id = g.repo_id
                WHERE g.user_id = p_user_id AND r.owner_type = 'organization')
          AND (o.settings ->> 'token_policy' IS NOT NULL
               OR EXISTS (SELECT FROM token_decisions d
                          WHERE d.token_id IN (SELECT id FROM token_line(p_token_id)) AND NOT d.approved))
          AND token_refusal(p_token_id, o.id) IS NOT NULL)
$$;

-- The live credential behind a token hash: of an active user, not revoked, not expired; a session also used within the
-- last 30 minutes; and how long it still has sudo. A token ends with the token that made it. Of a session, a token that
-- was replaced counts for 30 minutes more, or (p_is_open) at any time, and without sudo. touch: its use is to be noted.
CREATE OR REPLACE FUNCTION live_credential(p_token_hash TEXT, p_is_open BOOLEAN)
RETURNS TABLE (is_session BOOLEAN, id UUID, user_id UUID, username TEXT, scopes TEXT[], repository_ids UUID[],
               sudo_seconds FLOAT8, refused_by UUID[], touch BOOLEAN)
LANGUAGE sql STABLE
AS $$
    SELECT TRUE, s.id, s.user_id, u.username, NULL::text[], NULL::uuid[],
           CASE WHEN s.token_hash = p_token_hash
                THEN coalesce(greatest(extract(epoch FROM s.sudo_until - now()), 0), 0) ELSE 0 END::float8,
           NULL::uuid[], s.last_active_at < now() - interval '1 minute'
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE (s.token_hash = p_token_hash
           OR s.id = (SELECT f.session_id FROM former_session_tokens f
                      WHERE f.token_hash = p_token_hash
                        AND (p_is_open OR f.replaced_at > now() - interval '30 minutes')))
      AND s.revoked_at IS NULL AND s.expires_at > now()
      AND s.last_active_at > now() - interval '30 minutes' AND u.status = 'active'
    UNION ALL
    SELECT FALSE, t.id, t.user_id, u.username, t.scopes, t.repository_ids, 0::float8,
           refusing_organizations(t.id, t.user_id),
           coalesce(t.last_used_at < now() - interval '5 minutes', TRUE)
    FROM api_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = p_token_hash AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
      AND (t.parent_id IS NULL OR token_is_live(t.parent_id)) AND u.status = 'active'
$$;
