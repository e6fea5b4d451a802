-- name: make_deliveries
-- Makes a delivery of each of some events, :ids in the outbox, for each webhook that is active and wants such events;
-- :public_ids are their ids as receivers know them. Of shelves they are not told. Each is due since its event. Returns
-- the webhooks, and how many deliveries of each have not been due for :hold.
WITH told AS MATERIALIZED (
    SELECT e.type, e.created_at, e.repo_id, n.public_id,
           coalesce(e.org_id, CASE r.owner_type WHEN 'organization' THEN r.owner_id END) AS org_id,
           ARRAY[e.type, split_part(e.type, '.', 1) || '.*', '*'] AS patterns,
           jsonb_build_object(
               'id', n.public_id,
               'type', 'EVENT_TYPE_' || upper(replace(e.type, '.', '_')),
               'time', to_char(e.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'repository_id', coalesce(e.repo_id::text, ''),
               'organization_id', coalesce(e.org_id::text, ''),
               'actor_id', coalesce(e.actor_id::text, ''),
               'actor', coalesce(u.username, ''),
               split_part(e.type, '.', 1), e.payload) AS body
    FROM unnest(:ids::bigint[], :public_ids::uuid[]) n(id, public_id)
    JOIN events e ON e.id = n.id
    LEFT JOIN repositories r ON r.id = e.repo_id
    LEFT JOIN user_identities u ON u.id = e.actor_id
    WHERE e.type <> 'branch.deleted' OR NOT starts_with(e.payload ->> 'branch', 'shelves/')
), made AS (
    INSERT INTO webhook_deliveries (webhook_id, delivery_id, attempt, event, event_id, payload, scheduled_at)
    SELECT w.id, gen_random_uuid(), 1, t.type, t.public_id, t.body, t.created_at
    FROM told t
    CROSS JOIN LATERAL (
        SELECT id, created_at FROM webhooks
        WHERE repo_id = t.repo_id AND deleted_at IS NULL AND active AND events && t.patterns
        UNION ALL
        SELECT id, created_at FROM webhooks
        WHERE org_id = t.org_id AND deleted_at IS NULL AND active AND events && t.patterns
    ) w
    WHERE w.created_at <= t.created_at
    RETURNING webhook_id, scheduled_at
)
SELECT webhook_id, count(*) FILTER (WHERE scheduled_at > clock_timestamp() - :hold::interval) AS fresh
FROM made GROUP BY webhook_id ORDER BY webhook_id;
