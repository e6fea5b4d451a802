-- name: membership
-- The organisation of a name in lower case and the role of a user ($2) in it; none if they are no member.
-- is_limited: the API token ($3) reaches only some repositories.
SELECT o.owner_id AS id, m.role, m.role IN ('owner', 'admin') AS is_admin,
       EXISTS (SELECT FROM api_tokens t WHERE t.id = $3 AND t.repository_ids IS NOT NULL) AS is_limited
FROM owner_identities o JOIN organization_members m ON m.org_id = o.owner_id AND m.user_id = $2
WHERE o.name_key = $1 AND o.owner_type = 'organization' AND o.active;
