-- name: credential
-- The live credential behind a token hash: of an active user, not revoked, not expired; a session also
-- used within the last 30 minutes. A token ends with the token that made it.
SELECT true AS is_session, s.id, s.user_id, u.username, NULL::text[] AS scopes,
       NULL::uuid[] AS repository_ids,
       s.last_active_at < now() - interval '1 minute' AS touch
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.token_hash = $1 AND s.revoked_at IS NULL AND s.expires_at > now()
  AND s.last_active_at > now() - interval '30 minutes' AND u.status = 'active'
UNION ALL
SELECT false, t.id, t.user_id, u.username, t.scopes, t.repository_ids,
       coalesce(t.last_used_at < now() - interval '5 minutes', true)
FROM api_tokens t JOIN users u ON u.id = t.user_id
WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
  AND (t.parent_id IS NULL OR token_is_live(t.parent_id)) AND u.status = 'active';

-- name: repository
-- A repository by id ($2) or by owner and name in lower case ($3, $4), with the right of user $1 on it.
SELECT r.id, r.name, o.name AS owner, o.cell, r.archived OR r.disabled AS read_only,
       CASE WHEN r.owner_type = 'organization' THEN r.owner_id END AS organization_id,
       repository_permission($1, r.id) AS permission
FROM repository_identities r
JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
WHERE r.deleted_at IS NULL AND r.id = coalesce(
    $2, (SELECT n.id FROM repository_identities n
         JOIN owner_names k ON k.owner_type = n.owner_type AND k.owner_id = n.owner_id
         WHERE k.name_key = $3 AND lower(n.name) = $4 AND n.deleted_at IS NULL));
