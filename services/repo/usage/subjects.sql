-- name: organization
-- An organisation by id ($1) or by a name that leads to it ($2, in lower case), and the role of a user ($3) in it; NULL =
-- none.
SELECT o.owner_id, o.name, o.cell, m.role, mfa_missing($3, o.owner_id) AS mfa_missing
FROM owner_identities o
LEFT JOIN organization_members m ON m.org_id = o.owner_id AND m.user_id = $3
WHERE o.owner_type = 'organization' AND o.active AND o.owner_id = coalesce(
    $1::uuid, (SELECT owner_id FROM owner_names WHERE name_key = $2 AND owner_type = 'organization'));
