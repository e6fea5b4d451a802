-- name: create_token
-- Stores a new API token; :parent_id is the token that makes it, and NULL if a session does.
INSERT INTO api_tokens (user_id, name, token_hash, scopes, expires_at, repository_ids, parent_id, generation,
                        created_at)
VALUES (:user_id, :name, :token_hash, :scopes, :expires_at, :repository_ids, :parent_id, :generation,
        clock_timestamp())
RETURNING id, name, scopes, repository_ids, created_at, expires_at, last_used_at, NULL::text AS last_network;

-- name: refusals
-- Those of some organisations that do not let a token in, with the rule.
SELECT o.org_id, token_refusal($1, o.org_id) AS rule
FROM unnest($2::uuid[]) AS o (org_id)
WHERE token_refusal($1, o.org_id) IS NOT NULL
ORDER BY o.org_id;

-- name: count_tokens
-- How many live tokens an account has, up to $2.
SELECT count(*) FROM (
    SELECT FROM api_tokens
    WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) LIMIT $2) live;

-- name: list_tokens
-- Live tokens of a user, newest first, after ($2, $3), with the organisations that do not let them in, as JSON.
SELECT id, name, scopes, repository_ids, created_at, expires_at, last_used_at, network_of(last_used_ip) AS last_network,
       (SELECT json_agg(json_build_object('organization_id', o.id, 'organization', o.name,
                                          'rule', token_refusal(api_tokens.id, o.id)) ORDER BY o.name)
        FROM unnest(refusing_organizations(api_tokens.id, user_id)) AS r (id)
        JOIN organizations o ON o.id = r.id) AS refusals
FROM api_tokens
WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
  AND (parent_id IS NULL OR token_is_live(parent_id))
  AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
ORDER BY created_at DESC, id DESC
LIMIT $4;

-- name: rename_token
-- Gives a live token ($1) of a user ($2) another name.
UPDATE api_tokens t SET name = $3
FROM (SELECT id, name FROM api_tokens
      WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
        AND (parent_id IS NULL OR token_is_live(parent_id))
      FOR NO KEY UPDATE) was
WHERE t.id = was.id
RETURNING t.id, t.name, t.scopes, t.repository_ids, t.created_at, t.expires_at, t.last_used_at,
          network_of(t.last_used_ip) AS last_network, was.name AS former_name;

-- name: revoke_token
-- Ends a token; once ended it stays ended at that time.
UPDATE api_tokens t SET revoked_at = coalesce(t.revoked_at, clock_timestamp())
FROM (SELECT id, revoked_at FROM api_tokens WHERE id = $1 AND user_id = $2 FOR NO KEY UPDATE) was
WHERE t.id = was.id
RETURNING t.name, was.revoked_at IS NULL AS ended_now;

-- name: parent
-- What limits the tokens that a token makes.
SELECT expires_at, generation FROM api_tokens WHERE id = $1;
