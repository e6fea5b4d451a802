-- name: membership
-- The organisation of a name in lower case and the role of a user ($2) in it; none if they are no member.
SELECT o.owner_id AS id, m.role, m.role IN ('owner', 'admin') AS is_admin,
       mfa_missing($2, o.owner_id) AS mfa_missing
FROM owner_names o JOIN organization_members m ON m.org_id = o.owner_id AND m.user_id = $2
WHERE o.name_key = $1 AND o.owner_type = 'organization';
