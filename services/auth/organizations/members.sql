-- name: list_members
-- Up to :count members of an organisation after a username in lower case, whose names contain a text.
SELECT m.user_id, u.username, u.name, m.role, m.joined_at, i.username AS inviter
FROM organization_members m
JOIN users u ON u.id = m.user_id
LEFT JOIN users i ON i.id = m.invited_by
WHERE m.org_id = :organization_id
  AND (:after::text IS NULL OR lower(u.username) > :after COLLATE "C")
  AND (:role::text IS NULL OR m.role = :role)
  AND (:query::text = '' OR strpos(lower(u.username), lower(:query)) > 0 OR strpos(lower(u.name), lower(:query)) > 0)
ORDER BY lower(u.username) LIMIT :count;

-- name: find_member
-- A member of an organisation ($1), by id ($2) or username in lower case ($3).
SELECT m.user_id, u.username, u.name, m.role, m.joined_at, i.username AS inviter
FROM organization_members m
JOIN users u ON u.id = m.user_id
LEFT JOIN users i ON i.id = m.invited_by
WHERE m.org_id = $1 AND (m.user_id = $2::uuid OR lower(u.username) = $3);

-- name: has_other_owner
-- Whether anybody but a user ($2) owns an organisation who can log in.
SELECT EXISTS (SELECT FROM organization_members m JOIN users u ON u.id = m.user_id
               WHERE m.org_id = $1 AND m.user_id <> $2 AND m.role = 'owner' AND u.status = 'active');

-- name: change_role
-- Gives a member another role.
UPDATE organization_members SET role = $3 WHERE org_id = $1 AND user_id = $2;

-- name: leave_teams
-- Ends a user's place in the teams of an organisation.
DELETE FROM team_members WHERE user_id = $2 AND team_id IN (SELECT id FROM teams WHERE org_id = $1);

-- name: remove_member
-- Ends a membership.
DELETE FROM organization_members WHERE org_id = $1 AND user_id = $2;
