-- name: list_team_members
-- Up to $3 members of a team after a username in lower case.
SELECT m.user_id, u.username, u.name, m.role, m.added_at
FROM team_members m JOIN users u ON u.id = m.user_id
WHERE m.team_id = $1 AND ($2::text IS NULL OR lower(u.username) > $2 COLLATE "C")
ORDER BY lower(u.username) LIMIT $3;

-- name: read_team_member
-- A member of a team.
SELECT m.user_id, u.username, u.name, m.role, m.added_at
FROM team_members m JOIN users u ON u.id = m.user_id
WHERE m.team_id = $1 AND m.user_id = $2;

-- name: find_role
-- The role of a user in a team.
SELECT role FROM team_members WHERE team_id = $1 AND user_id = $2;

-- name: set_role
-- Takes a user into a team, or gives them another role there.
INSERT INTO team_members (team_id, user_id, role, added_at) VALUES ($1, $2, $3, clock_timestamp())
ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role;

-- name: remove_team_member
-- Takes a user out of a team; true if they were in it.
DELETE FROM team_members WHERE team_id = $1 AND user_id = $2 RETURNING true;
