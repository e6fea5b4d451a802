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
