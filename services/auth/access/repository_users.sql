-- name: list_users
-- Active accounts that were given a right on a repository, by username in lower case, after one ($2), with the paths
-- of the right.
WITH page AS (
    SELECT DISTINCT lower(u.username) AS name_key, u.id, u.username, u.name
    FROM access_grants() a
    JOIN users u ON u.id = a.user_id
    WHERE a.repo_id = $1 AND u.status = 'active' AND lower(u.username) > $2::text COLLATE "C"
    ORDER BY lower(u.username) LIMIT $3
)
SELECT p.id, p.username, p.name, g.level, g.grant_count, g.grants
FROM page p
CROSS JOIN LATERAL describe_grants(p.id, $1) g
ORDER BY p.name_key;
