-- name: organization
-- An organisation by its name in lower case, and the role of a user ($2) in it; NULL = none.
SELECT o.owner_id, o.name, o.cell, m.role, mfa_missing($2, o.owner_id) AS mfa_missing
FROM owner_names k
JOIN owner_identities o ON o.owner_type = k.owner_type AND o.owner_id = k.owner_id
LEFT JOIN organization_members m ON m.org_id = o.owner_id AND m.user_id = $2
WHERE k.name_key = $1 AND o.owner_type = 'organization' AND o.active;
