-- name: audit
-- Adds one entry to the append-only audit log, in the caller's transaction.
SELECT audit(:actor_id, :actor_type, :action, :resource_type, :resource_id, :resource_name,
             :repository_id, :organization_id, :details::jsonb, :peer_ip::inet, :user_agent, :request_id);
