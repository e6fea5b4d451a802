-- name: repositories
-- Owners and names of those of some repositories that are there.
SELECT r.id, o.name AS owner, r.name
FROM repository_identities r
CROSS JOIN LATERAL (SELECT i.name FROM owner_identities i
                    WHERE i.owner_type = r.owner_type AND i.owner_id = r.owner_id OFFSET 0) o
WHERE r.id = ANY ($1::uuid[]) AND r.deleted_at IS NULL;

-- name: usernames
-- Names of some users.
SELECT id, username FROM users WHERE id = ANY ($1::uuid[]);

-- name: mentioned
-- The active users who have one of these names, in lower case.
SELECT id, lower(username) AS name, email_key FROM users
WHERE lower(username) = ANY ($1::text[]) AND status = 'active';

-- name: followers
-- Up to :count users who follow one of the branches, after a user, each with those branches.
SELECT user_id, array_agg(branch ORDER BY branch) AS followed
FROM branch_follows
WHERE repo_id = :repository_id AND branch = ANY (:names::text[])
  AND (:after::uuid IS NULL OR user_id > :after)
GROUP BY user_id ORDER BY user_id LIMIT :count;

-- name: readers
-- Those of some pairs of a user and a repository (NULL = none) in which the user is active and may read it. OFFSET 0:
-- the right is asked for once for each pair, also by a plan from a time when there were few users.
SELECT a.user_id, a.repo_id
FROM (SELECT p.user_id, p.repo_id
      FROM unnest($1::uuid[], $2::uuid[]) AS p (user_id, repo_id)
      JOIN users u ON u.id = p.user_id
      WHERE u.status = 'active' OFFSET 0) a
WHERE a.repo_id IS NULL OR repository_permission(a.user_id, a.repo_id) > 0;

-- name: organizations
-- Names of some organisations.
SELECT id, name FROM organizations WHERE id = ANY ($1::uuid[]);

-- name: administrators
-- Up to $3 users who administer a repository ($1), or an organisation ($2): as granted_permissions() says.
SELECT a.user_id FROM (
    SELECT r.owner_id AS user_id FROM repository_identities r WHERE r.id = $1::uuid AND r.owner_type = 'user'
    UNION
    SELECT m.user_id
    FROM organization_members m JOIN organizations o ON o.id = m.org_id
    WHERE membership_level(m.role, o.settings) >= 3
      AND o.id IN ($2::uuid, (SELECT r.owner_id FROM repository_identities r
                              WHERE r.id = $1::uuid AND r.owner_type = 'organization'))
    UNION
    SELECT g.grantee_id FROM repository_grants g
    WHERE g.repo_id = $1::uuid AND g.grantee_type = 'user' AND permission_level(g.permission) >= 3
    UNION
    SELECT t.user_id
    FROM repository_grants g JOIN team_members t ON t.team_id = g.grantee_id
    WHERE g.repo_id = $1::uuid AND g.grantee_type = 'team' AND permission_level(g.permission) >= 3
) a
ORDER BY a.user_id LIMIT $3;
