-- name: membership
-- An organisation by id ($1) or by a name that leads to it ($2, in lower case), and the role of a user ($3) in it; none if
-- they are no member.
SELECT o.id, o.name, m.role, m.role IN ('owner', 'admin') AS is_admin, mfa_missing($3, o.id) AS mfa_missing
FROM organizations o JOIN organization_members m ON m.org_id = o.id AND m.user_id = $3
WHERE o.deleted_at IS NULL AND o.id = coalesce(
    $1::uuid, (SELECT owner_id FROM owner_names WHERE name_key = $2 AND owner_type = 'organization'));
