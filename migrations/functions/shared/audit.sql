-- The only way to write the audit log.

-- Writes one audit row in the caller's transaction and returns its id.
-- p_actor_type is 'user', 'system' or 'api_token'; p_actor_id is NULL for the system and for strangers.
CREATE OR REPLACE FUNCTION audit(
    p_actor_id UUID,
    p_actor_type TEXT,
    p_action TEXT,
    p_resource_type TEXT,
    p_resource_id TEXT,
    p_resource_name TEXT,
    p_details JSONB,
    p_ip INET,
    p_user_agent TEXT,
    p_request_id TEXT
)
RETURNS UUID
LANGUAGE sql
AS $$
    INSERT INTO audit_log ("timestamp", actor_id, actor_type, action, resource_type, resource_id,
                           resource_name, details, ip_address, user_agent, request_id)
    VALUES (clock_timestamp(), p_actor_id, p_actor_type, p_action, p_resource_type, p_resource_id,
            p_resource_name, p_details, p_ip, p_user_agent, p_request_id)
    RETURNING id
$$;
