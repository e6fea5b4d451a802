-- name: check_repositories
-- The right of a user on repositories that are named by id, or by owner and name in lower case; those that look
-- absent are left out. Of organisations that do not let the token in, what everybody may read is left.
WITH asked AS MATERIALIZED (
    SELECT a.position, coalesce(a.id, named_repository(a.owner, a.name)) AS id
    FROM unnest(:ids::uuid[], :owners::text[], :names::text[]) WITH ORDINALITY AS a (id, owner, name, position)
)
SELECT asked.position, p.repo_id, CASE WHEN r.is_refused THEN 1 ELSE p.level END AS level
FROM asked
JOIN repository_permissions(:user_id) p ON p.repo_id = asked.id
JOIN (SELECT id, visibility,
             owner_type = 'organization' AND owner_id = ANY (:refused_by::uuid[]) AS is_refused
      FROM repository_identities) r ON r.id = p.repo_id
WHERE p.level > 0 AND (NOT r.is_refused OR r.visibility = 'public');
