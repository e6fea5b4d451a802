-- name: membership
-- The membership of a user ($1) in an organisation by id ($2) or by a name that leads to it ($3); none if there is none.
SELECT o.id, o.name, m.role, u.mfa_enabled, requires_mfa(o.settings) AND NOT u.mfa_enabled AS withheld
FROM organizations o
JOIN organization_members m ON m.org_id = o.id AND m.user_id = $1
JOIN users u ON u.id = m.user_id
WHERE o.deleted_at IS NULL AND o.id = coalesce(
    $2::uuid, (SELECT owner_id FROM owner_names WHERE name_key = $3 AND owner_type = 'organization'));

-- name: lock_organization
-- Makes those who change an organisation, its members, invitations and teams follow one another.
SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE;
