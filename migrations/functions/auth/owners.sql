-- Owners of repositories, for those who write what belongs to them.

-- Keeps a user or organisation from being deleted or suspended until the caller's transaction ends. Returns
-- whether it is there.
CREATE OR REPLACE FUNCTION hold_owner(p_owner_type TEXT, p_owner_id UUID)
RETURNS BOOLEAN
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_owner_type = 'organization' THEN
        PERFORM FROM organizations WHERE id = p_owner_id AND deleted_at IS NULL FOR SHARE;
    ELSE
        PERFORM FROM users WHERE id = p_owner_id AND status = 'active' FOR SHARE;
    END IF;
    RETURN FOUND;
END;
$$;

-- The repository that an owner's name and its own, both in lower case, lead to; NULL = none. OFFSET 0: the owner comes
-- first, because thousands of repositories may have one name.
CREATE OR REPLACE FUNCTION named_repository(p_owner TEXT, p_name TEXT)
RETURNS UUID
LANGUAGE sql STABLE
AS $$
    SELECT r.repo_id
    FROM owner_names k
    CROSS JOIN LATERAL (SELECT n.repo_id FROM repository_names n
                        WHERE n.owner_type = k.owner_type AND n.owner_id = k.owner_id AND n.name_key = p_name
                        OFFSET 0) r
    WHERE k.name_key = p_owner
$$;
