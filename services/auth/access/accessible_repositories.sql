-- name: list_repositories
-- Repositories that a user was given a right on, by owner and name, after one of them, with the paths of the right.
-- Those of owners who show all of theirs are read in the order of their index, a page of each at most. Those of
-- organisations that do not let the token in are left out.
WITH whole AS (
    SELECT DISTINCT o.name_key, o.owner_type, o.owner_id
    FROM owner_grants() g
    JOIN owner_identities o ON o.owner_type = g.owner_type AND o.owner_id = g.owner_id
    WHERE g.user_id = :user_id AND o.name_key >= :after_owner::text COLLATE "C"
      AND NOT (g.owner_type = 'organization' AND g.owner_id = ANY (:refused_by::uuid[]))
), page AS (
    (SELECT w.name_key, r.repo_key, r.id
     FROM (SELECT * FROM whole ORDER BY name_key) w
     CROSS JOIN LATERAL (
         SELECT lower(i.name) AS repo_key, i.id
         FROM repository_identities i
         WHERE i.owner_type = w.owner_type AND i.owner_id = w.owner_id AND i.deleted_at IS NULL
           AND lower(i.name) > CASE WHEN w.name_key = :after_owner THEN :after::text ELSE '' END COLLATE "C"
         ORDER BY lower(i.name) LIMIT :count) r
     ORDER BY w.name_key, r.repo_key LIMIT :count)
    UNION
    (SELECT DISTINCT o.name_key, lower(i.name), i.id
     FROM single_grants() g
     JOIN repository_identities i ON i.id = g.repo_id
     JOIN owner_identities o ON o.owner_type = i.owner_type AND o.owner_id = i.owner_id
     WHERE g.user_id = :user_id AND i.deleted_at IS NULL
       AND NOT (i.owner_type = 'organization' AND i.owner_id = ANY (:refused_by))
       AND (o.name_key, lower(i.name)) > (:after_owner COLLATE "C", :after COLLATE "C")
     ORDER BY o.name_key, lower(i.name) LIMIT :count)
    ORDER BY name_key, repo_key LIMIT :count
)
SELECT p.id, o.name AS owner, r.name, g.level, g.grant_count, g.grants
FROM page p
JOIN repository_identities r ON r.id = p.id
JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
CROSS JOIN LATERAL describe_grants(:user_id, p.id) g
ORDER BY p.name_key, p.repo_key;
