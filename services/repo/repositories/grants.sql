-- name: find_user
-- A user by id ($1) or by name in lower case ($2); with $3 only one who can log in.
SELECT id, username FROM user_identities
WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR lower(username) = $2)
  AND num_nonnulls($1::uuid, $2::text) = 1 AND (status = 'active' OR NOT $3::boolean);

-- name: find_team
-- A team of an organisation ($1) by id ($2) or by name in lower case ($3).
SELECT id, name FROM team_identities
WHERE org_id = $1::uuid AND ($2::uuid IS NULL OR id = $2) AND ($3::text IS NULL OR lower(name) = $3)
  AND num_nonnulls($2::uuid, $3::text) = 1;

-- name: get_grant
-- What a user or a team ($2) was given on a repository; nothing if the account was deleted.
SELECT place, grantee_id, name, permission, added_at, granted_by FROM (
    SELECT 0 AS place, c.user_id AS grantee_id, u.username AS name, c.permission, c.added_at, b.username AS granted_by
    FROM repository_collaborators c
    JOIN user_identities u ON u.id = c.user_id AND u.status <> 'deleted'
    LEFT JOIN user_identities b ON b.id = c.added_by
    WHERE c.repo_id = $1 AND c.user_id = $2
    UNION ALL
    SELECT 1, g.team_id, t.name, g.permission, g.added_at, b.username
    FROM team_repositories g
    JOIN team_identities t ON t.id = g.team_id
    LEFT JOIN user_identities b ON b.id = g.added_by
    WHERE g.repo_id = $1 AND g.team_id = $2) found;

-- name: list_grants
-- Up to $4 grants on a repository, after a kind ($2: users are 0, teams 1) and a name in lower case ($3). Those of
-- accounts that were deleted are left out.
SELECT place, grantee_id, name, permission, added_at, granted_by FROM (
    SELECT 0 AS place, c.user_id AS grantee_id, u.username AS name, c.permission, c.added_at, b.username AS granted_by
    FROM repository_collaborators c
    JOIN user_identities u ON u.id = c.user_id AND u.status <> 'deleted'
    LEFT JOIN user_identities b ON b.id = c.added_by
    WHERE c.repo_id = $1
    UNION ALL
    SELECT 1, g.team_id, t.name, g.permission, g.added_at, b.username
    FROM team_repositories g
    JOIN team_identities t ON t.id = g.team_id
    LEFT JOIN user_identities b ON b.id = g.added_by
    WHERE g.repo_id = $1) found
WHERE (place, lower(name)) > ($2::int, $3::text COLLATE "C")
ORDER BY place, lower(name)
LIMIT $4;

-- name: count_grants
-- How many users and teams were given a right on a repository.
SELECT (SELECT count(*) FROM repository_collaborators c JOIN user_identities u ON u.id = c.user_id
        WHERE c.repo_id = $1 AND u.status <> 'deleted')
     + (SELECT count(*) FROM team_repositories WHERE repo_id = $1);

-- name: set_user
-- Gives a user a right.
INSERT INTO repository_collaborators (repo_id, user_id, permission, added_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (repo_id, user_id) DO UPDATE SET permission = excluded.permission, added_by = excluded.added_by;

-- name: set_team
-- Gives a team a right.
INSERT INTO team_repositories (repo_id, team_id, permission, added_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (team_id, repo_id) DO UPDATE SET permission = excluded.permission, added_by = excluded.added_by;

-- name: remove_user
-- Takes a right back from a user.
DELETE FROM repository_collaborators WHERE repo_id = $1 AND user_id = $2;

-- name: remove_team
-- Takes a right back from a team.
DELETE FROM team_repositories WHERE repo_id = $1 AND team_id = $2;
