-- Who may do what, in one place: the access check of every service and the listings agree by asking the
-- same functions. Owned by auth.

-- A granted level as a number: 1 read, 2 write, 3 admin. Equal to dits.common.v1.Permission.
CREATE FUNCTION permission_level(p_permission TEXT)
RETURNS INT
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE p_permission WHEN 'read' THEN 1 WHEN 'write' THEN 2 WHEN 'admin' THEN 3 ELSE 0 END
$$;

-- What follows from a membership: owners and administrators of an organisation administer its
-- repositories, members have what the organisation's settings say (read unless they say otherwise),
-- people who only see bills have nothing.
CREATE FUNCTION membership_level(p_role TEXT, p_settings JSONB)
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
CREATE FUNCTION granted_permissions(p_user_id UUID)
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
CREATE FUNCTION repository_permission(p_user_id UUID, p_repo_id UUID)
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
CREATE FUNCTION owner_permission(p_user_id UUID, p_owner_type TEXT, p_owner_id UUID)
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

-- Every service keeps answers of the access check for up to five seconds. These triggers tell it to
-- forget those about one user or repository at once. A hint, sent at commit; losing one loses nothing.
-- Argument: the column that holds the id.
CREATE FUNCTION announce_access_change()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
DECLARE
    v_row JSONB := to_jsonb(coalesce(NEW, OLD));
BEGIN
    PERFORM pg_notify('dits_access', v_row ->> TG_ARGV[0]);
    RETURN NULL;
END;
$$;

CREATE TRIGGER sessions_announce AFTER UPDATE OF revoked_at OR DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER api_tokens_announce AFTER UPDATE OF revoked_at, scopes, repository_ids OR DELETE ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER users_announce AFTER UPDATE OF status, username ON users
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('id');
CREATE TRIGGER organization_members_announce AFTER INSERT OR UPDATE OR DELETE ON organization_members
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER team_members_announce AFTER INSERT OR UPDATE OR DELETE ON team_members
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER repository_collaborators_announce AFTER INSERT OR UPDATE OR DELETE ON repository_collaborators
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER team_repositories_announce AFTER INSERT OR UPDATE OR DELETE ON team_repositories
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('repo_id');
CREATE TRIGGER repositories_announce
    AFTER UPDATE OF name, visibility, archived, disabled, owner_type, owner_id, deleted_at ON repositories
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('id');

-- The only repositories that an API token opens (NULL: all that its user can open), for listings.
CREATE VIEW token_reach AS
SELECT id AS token_id, repository_ids FROM api_tokens;
