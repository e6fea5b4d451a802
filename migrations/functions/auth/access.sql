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

-- Every right that a user was given: by owning, by membership, by name or through a team. A repository
-- can occur several times; the highest level counts. Deleted repositories are left out.
CREATE OR REPLACE FUNCTION granted_permissions(p_user_id UUID)
RETURNS TABLE (repo_id UUID, level INT)
LANGUAGE sql STABLE
AS $$
    SELECT r.id, 3 FROM repository_identities r
    WHERE r.owner_type = 'user' AND r.owner_id = p_user_id AND r.deleted_at IS NULL
    UNION ALL
    SELECT r.id, membership_level(m.role, o.settings)
    FROM organization_members m
    JOIN organizations o ON o.id = m.org_id
    JOIN repository_identities r ON r.owner_type = 'organization' AND r.owner_id = m.org_id
    WHERE m.user_id = p_user_id AND r.deleted_at IS NULL AND membership_level(m.role, o.settings) > 0
    UNION ALL
    SELECT g.repo_id, permission_level(g.permission)
    FROM repository_grants g
    JOIN repository_identities r ON r.id = g.repo_id
    WHERE g.grantee_type = 'user' AND g.grantee_id = p_user_id AND r.deleted_at IS NULL
    UNION ALL
    SELECT g.repo_id, permission_level(g.permission)
    FROM team_members t
    JOIN repository_grants g ON g.grantee_type = 'team' AND g.grantee_id = t.team_id
    JOIN repository_identities r ON r.id = g.repo_id
    WHERE t.user_id = p_user_id AND r.deleted_at IS NULL
$$;

-- The right of one user (NULL = anonymous) on one repository, visibility included. 0 = it looks absent.
CREATE OR REPLACE FUNCTION repository_permission(p_user_id UUID, p_repo_id UUID)
RETURNS INT
LANGUAGE sql STABLE
AS $$
    SELECT greatest(
        CASE r.visibility
            WHEN 'public' THEN 1
            WHEN 'internal' THEN CASE WHEN p_user_id IS NOT NULL THEN 1 ELSE 0 END
            ELSE 0
        END,
        (SELECT max(g.level) FROM granted_permissions(p_user_id) g WHERE g.repo_id = r.id))
    FROM repository_identities r
    WHERE r.id = p_repo_id AND r.deleted_at IS NULL
$$;

-- What an account may do to the repositories of an owner: 3 = create, rename, delete them. 0 = nothing.
CREATE OR REPLACE FUNCTION owner_permission(p_user_id UUID, p_owner_type TEXT, p_owner_id UUID)
RETURNS INT
LANGUAGE sql STABLE
AS $$
    SELECT CASE
        WHEN p_owner_type = 'user' THEN CASE WHEN p_owner_id = p_user_id THEN 3 ELSE 0 END
        ELSE coalesce((SELECT membership_level(m.role, o.settings)
                       FROM organization_members m JOIN organizations o ON o.id = m.org_id
                       WHERE m.org_id = p_owner_id AND m.user_id = p_user_id), 0)
    END
$$;
