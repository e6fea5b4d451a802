-- name: count_teams
-- How many teams an organisation has.
SELECT count(*) FROM teams WHERE org_id = $1;

-- name: insert_team
-- A new team; teams_org_id_name_key means that the name is taken.
INSERT INTO teams (org_id, name, description, created_at) VALUES ($1, $2, $3, clock_timestamp()) RETURNING id;

-- name: find_team
-- A team of an organisation, by id or by name in lower case, with the role of a user in it.
SELECT t.id, t.org_id, t.name, t.description, t.created_at, m.role,
       (SELECT count(*) FROM team_members WHERE team_id = t.id)::int AS member_count
FROM teams t LEFT JOIN team_members m ON m.team_id = t.id AND m.user_id = :user_id
WHERE t.org_id = :organization_id AND (t.id = :team_id::uuid OR lower(t.name) = :name::text);

-- name: list_teams
-- Up to :count teams of an organisation after a name in lower case, each with the role of a user in it.
SELECT t.id, t.org_id, t.name, t.description, t.created_at, m.role, 0 AS member_count
FROM teams t LEFT JOIN team_members m ON m.team_id = t.id AND m.user_id = :user_id
WHERE t.org_id = :organization_id AND (:after::text IS NULL OR lower(t.name) > :after COLLATE "C")
  AND (NOT :own_only::boolean OR m.role IS NOT NULL)
ORDER BY lower(t.name) LIMIT :count;

-- name: update_team
-- Changes what is not NULL; teams_org_id_name_key means that the name is taken.
UPDATE teams SET name = coalesce($2, name), description = coalesce($3, description) WHERE id = $1;

-- name: delete_team
-- Ends a team, with the places of its members and its grants.
DELETE FROM teams WHERE id = $1;
