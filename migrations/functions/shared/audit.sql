-- The only way to write the audit log.

-- Writes one audit row in the caller's transaction and returns its id.
-- p_actor_type is 'user', 'system' or 'api_token'; p_actor_id is NULL for the system and for strangers.
-- p_repo_id is the repository that the row is about, or that its resource is in; p_org_id the organisation,
-- which is found by itself if it owns that repository.
CREATE OR REPLACE FUNCTION audit(
    p_actor_id UUID,
    p_actor_type TEXT,
    p_action TEXT,
    p_resource_type TEXT,
    p_resource_id TEXT,
    p_resource_name TEXT,
    p_repo_id UUID,
    p_org_id UUID,
    p_details JSONB,
    p_ip INET,
    p_user_agent TEXT,
    p_request_id TEXT
)
RETURNS UUID
LANGUAGE sql
AS $$
    INSERT INTO audit_log ("timestamp", actor_id, actor_type, action, resource_type, resource_id,
                           resource_name, repo_id, org_id, details, ip_address, user_agent, request_id)
    VALUES (clock_timestamp(), p_actor_id, p_actor_type, p_action, p_resource_type, p_resource_id,
            p_resource_name, p_repo_id,
            coalesce(p_org_id, (SELECT r.owner_id FROM repository_identities r
                                WHERE r.id = p_repo_id AND r.owner_type = 'organization')),
            p_details, p_ip, p_user_agent, p_request_id)
    RETURNING id
$$;
