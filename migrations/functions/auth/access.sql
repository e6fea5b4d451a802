-- Who may do what, in one place: the access check of every service and the listings agree, because they
-- ask the same functions.

-- A granted level as a number: 1 read, 2 write, 3 admin. Equal to dits.common.v1.Permission.
CREATE OR REPLACE FUNCTION permission_level(p_permission TEXT)
RETURNS INT
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE p_permission WHEN 'read' THEN 1 WHEN 'write' THEN 2 WHEN 'admin' THEN 3 ELSE 0 END
$$;

-- What follows from a membership: owners and administrators of an organisation administer its
-- repositories, members have what the organisation's settings say (read unless they say otherwise),
-- people who only see bills have nothing.
CREATE OR REPLACE FUNCTION membership_level(p_role TEXT, p_settings JSONB)
RETURNS INT
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE
        WHEN p_role IN ('owner', 'admin') THEN 3
        WHEN p_role = 'member' THEN permission_level(coalesce(p_settings ->> 'member_permission', 'read'))
        ELSE 0
    END
$$;

-- Whether an organisation keeps its rights from accounts without a second factor.
CREATE OR REPLACE FUNCTION requires_mfa(p_settings JSONB)
RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE
AS $$
    SELECT coalesce(p_settings @> '{"require_mfa": true}', FALSE)
$$;

-- Whether an organisation keeps its rights from an account, for want of a second factor.
CREATE OR REPLACE FUNCTION mfa_missing(p_user_id UUID, p_org_id UUID)
RETURNS BOOLEAN
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM organizations o JOIN users u ON u.id = p_user_id
                   WHERE o.id = p_org_id AND requires_mfa(o.settings) AND NOT u.mfa_enabled)
$$;

-- What somebody was given on all repositories of an owner: on their own, and on those of organisations by membership;
-- withheld: it does not count, for want of a second factor. The rule of owners; its callers filter by user or owner.
CREATE OR REPLACE FUNCTION given_to_owners()
RETURNS TABLE (owner_type TEXT, owner_id UUID, user_id UUID, level INT, role TEXT, withheld BOOLEAN)
LANGUAGE sql STABLE
AS $$
    SELECT 'user', u.id, u.id, 3, NULL::text, FALSE FROM user_identities u
    UNION ALL
    SELECT 'organization', m.org_id, m.user_id, membership_level(m.role, o.settings), m.role,
           requires_mfa(o.settings) AND NOT u.mfa_enabled
    FROM organization_members m
    JOIN organizations o ON o.id = m.org_id
    JOIN users u ON u.id = m.user_id
    WHERE membership_level(m.role, o.settings) > 0
$$;

-- What somebody may do with all repositories of an owner. Its callers filter by user or owner.
CREATE OR REPLACE FUNCTION owner_grants()
RETURNS TABLE (owner_type TEXT, owner_id UUID, user_id UUID, level INT, role TEXT)
LANGUAGE sql STABLE
AS $$
    SELECT owner_type, owner_id, user_id, level, role FROM given_to_owners() WHERE NOT withheld
$$;

-- What somebody was given on single repositories, deleted ones too: by name (no team) or through a team.
CREATE OR REPLACE FUNCTION given_singly()
RETURNS TABLE (repo_id UUID, user_id UUID, level INT, team_id UUID)
LANGUAGE sql STABLE
AS $$
    SELECT g.repo_id, g.grantee_id, permission_level(g.permission), NULL::uuid
    FROM repository_grants g
    WHERE g.grantee_type = 'user'
    UNION ALL
    SELECT g.repo_id, t.user_id, permission_level(g.permission), t.team_id
    FROM team_members t
    JOIN repository_grants g ON g.grantee_type = 'team' AND g.grantee_id = t.team_id
$$;

-- The same of the organisation that owns a repository.
CREATE OR REPLACE FUNCTION withholds_rights(p_repo_id UUID, p_user_id UUID)
RETURNS BOOLEAN
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM users WHERE id = p_user_id AND NOT mfa_enabled) AND EXISTS (
        SELECT FROM repository_identities r
        WHERE r.id = p_repo_id AND r.owner_type = 'organization' AND mfa_missing(p_user_id, r.owner_id))
$$;

-- What somebody may do with single repositories, deleted ones too: by name (no team) or through a team.
CREATE OR REPLACE FUNCTION single_grants()
RETURNS TABLE (repo_id UUID, user_id UUID, level INT, team_id UUID)
LANGUAGE sql STABLE
AS $$
    SELECT g.repo_id, g.user_id, g.level, g.team_id FROM given_singly() g
    WHERE NOT withholds_rights(g.repo_id, g.user_id)
$$;

-- The highest right of one user on one repository that does not count, for want of a second factor; 0 = there is none.
CREATE OR REPLACE FUNCTION withheld_permission(p_user_id UUID, p_repo_id UUID)
RETURNS INT
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN withholds_rights(p_repo_id, p_user_id) THEN greatest(
        (SELECT max(o.level) FROM repository_identities r
         JOIN given_to_owners() o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
         WHERE r.id = p_repo_id AND r.deleted_at IS NULL AND o.user_id = p_user_id),
        (SELECT max(g.level) FROM repository_identities r JOIN given_singly() g ON g.repo_id = r.id
         WHERE r.id = p_repo_id AND r.deleted_at IS NULL AND g.user_id = p_user_id), 0) ELSE 0 END
$$;

-- Every right on a repository that somebody was given, and its path: by owning it (no role, no team), by a role in the
-- organisation that owns it, through a team, or by name ('collaborator'). A repository and user can occur several
-- times; the highest level counts. Deleted repositories are left out. Its callers filter by user or repository.
CREATE OR REPLACE FUNCTION access_grants()
RETURNS TABLE (repo_id UUID, user_id UUID, level INT, path TEXT, role TEXT, team_id UUID)
LANGUAGE sql STABLE
AS $$
    SELECT r.id, o.user_id, o.level, CASE WHEN o.role IS NULL THEN 'owner' ELSE 'member' END, o.role, NULL::uuid
    FROM owner_grants() o
    JOIN repository_identities r ON r.owner_type = o.owner_type AND r.owner_id = o.owner_id
    WHERE r.deleted_at IS NULL
    UNION ALL
    SELECT r.id, g.user_id, g.level, CASE WHEN g.team_id IS NULL THEN 'collaborator' ELSE 'team' END, NULL, g.team_id
    FROM single_grants() g
    JOIN repository_identities r ON r.id = g.repo_id
    WHERE r.deleted_at IS NULL
$$;

-- The rights that a user was given on a repository: the highest level, their number, and the ten highest with their
-- paths, as JSON. No row if there is none.
CREATE OR REPLACE FUNCTION describe_grants(p_user_id UUID, p_repo_id UUID)
RETURNS TABLE (level INT, grant_count INT, grants JSON)
LANGUAGE sql STABLE
AS $$
    SELECT max(g.level), count(*)::int, json_agg(json_build_object(
        'path', g.path, 'role', g.role, 'level', g.level, 'team_id', g.team_id, 'team', g.team)
        ORDER BY g.place) FILTER (WHERE g.place <= 10)
    FROM (SELECT a.*, t.name AS team, row_number() OVER (ORDER BY a.level DESC, a.path, t.name) AS place
          FROM access_grants() a
          LEFT JOIN teams t ON t.id = a.team_id
          WHERE a.user_id = p_user_id AND a.repo_id = p_repo_id) g
    HAVING count(*) > 0
$$;

-- Every right that a user was given. A repository can occur several times; the highest level counts.
CREATE OR REPLACE FUNCTION granted_permissions(p_user_id UUID)
RETURNS TABLE (repo_id UUID, level INT)
LANGUAGE sql STABLE
AS $$
    SELECT repo_id, level FROM access_grants() WHERE user_id = p_user_id
$$;

-- The right of one user (NULL = anonymous) on each repository that is not deleted, visibility included. 0 = it looks
-- absent. Its callers filter by repository. It asks for both kinds of grants itself, because access_grants() would look
-- each repository up again.
CREATE OR REPLACE FUNCTION repository_permissions(p_user_id UUID)
RETURNS TABLE (repo_id UUID, level INT)
LANGUAGE sql STABLE
AS $$
    SELECT r.id, greatest(
        CASE r.visibility
            WHEN 'public' THEN 1
            WHEN 'internal' THEN CASE WHEN p_user_id IS NOT NULL THEN 1 ELSE 0 END
            ELSE 0
        END,
        (SELECT max(o.level) FROM owner_grants() o
         WHERE o.owner_type = r.owner_type AND o.owner_id = r.owner_id AND o.user_id = p_user_id),
        (SELECT max(g.level) FROM single_grants() g WHERE g.repo_id = r.id AND g.user_id = p_user_id))
    FROM repository_identities r
    WHERE r.deleted_at IS NULL
$$;

-- The right of one user (NULL = anonymous) on one repository, visibility included. 0 = it looks absent.
CREATE OR REPLACE FUNCTION repository_permission(p_user_id UUID, p_repo_id UUID)
RETURNS INT
LANGUAGE sql STABLE
AS $$
    SELECT level FROM repository_permissions(p_user_id) WHERE repo_id = p_repo_id
$$;

-- What an account may do to the repositories of an owner: 3 = create, rename, delete them. 0 = nothing.
CREATE OR REPLACE FUNCTION owner_permission(p_user_id UUID, p_owner_type TEXT, p_owner_id UUID)
RETURNS INT
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(max(level), 0) FROM owner_grants()
    WHERE owner_type = p_owner_type AND owner_id = p_owner_id AND user_id = p_user_id
$$;
