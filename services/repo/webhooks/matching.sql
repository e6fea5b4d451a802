-- name: make_deliveries
-- Makes a delivery of each of some events, :ids in the outbox, for each webhook that is active and wants such events;
-- :public_ids are their ids as receivers know them. Returns the webhooks.
WITH made AS (
    INSERT INTO webhook_deliveries (webhook_id, delivery_id, attempt, event, event_id, payload)
    SELECT w.id, gen_random_uuid(), 1, e.type, n.public_id, jsonb_build_object(
               'id', n.public_id,
               'type', 'EVENT_TYPE_' || upper(replace(e.type, '.', '_')),
               'time', to_char(e.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'repository_id', coalesce(e.repo_id::text, ''),
               'organization_id', coalesce(e.org_id::text, ''),
               'actor_id', coalesce(e.actor_id::text, ''),
               'actor', coalesce(u.username, ''),
               split_part(e.type, '.', 1), e.payload)
    FROM unnest(:ids::bigint[], :public_ids::uuid[]) n(id, public_id)
    JOIN events e ON e.id = n.id
    LEFT JOIN repositories r ON r.id = e.repo_id
    LEFT JOIN user_identities u ON u.id = e.actor_id
    CROSS JOIN LATERAL (
        SELECT id, created_at FROM webhooks
        WHERE repo_id = e.repo_id AND deleted_at IS NULL AND active
          AND events && ARRAY[e.type, split_part(e.type, '.', 1) || '.*', '*']
        UNION ALL
        SELECT id, created_at FROM webhooks
        WHERE org_id = coalesce(e.org_id, CASE r.owner_type WHEN 'organization' THEN r.owner_id END)
          AND deleted_at IS NULL AND active
          AND events && ARRAY[e.type, split_part(e.type, '.', 1) || '.*', '*']
    ) w
    WHERE w.created_at <= e.created_at
    RETURNING webhook_id
)
SELECT DISTINCT webhook_id FROM made ORDER BY webhook_id;
