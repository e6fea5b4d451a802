-- name: check_repositories
-- The right of a user on repositories that are named by id, or by owner and name in lower case; those that look
-- absent are left out.
SELECT asked.position, p.repo_id, p.level
FROM (SELECT a.position, coalesce(
          a.id, (SELECT n.id FROM repository_identities n
                 JOIN owner_names k ON k.owner_type = n.owner_type AND k.owner_id = n.owner_id
                 WHERE k.name_key = a.owner AND lower(n.name) = a.name AND n.deleted_at IS NULL)) AS id
      FROM unnest($2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY AS a (id, owner, name, position)) asked
JOIN repository_permissions($1) p ON p.repo_id = asked.id
WHERE p.level > 0;
