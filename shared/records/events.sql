-- name: emit_event
-- Writes an event about a repository or an organisation, in the caller's transaction.
SELECT emit_event(:type, :repository_id, :organization_id, :actor_id, :payload::jsonb);
