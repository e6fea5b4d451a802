-- name: mark_mailed
-- Marks those of some notifications, each with its preference, whose users want them at once and have an address.
UPDATE notifications n SET mailed = true
FROM unnest($1::uuid[], $2::text[]) AS g (id, preference), users u, notification_preferences p
WHERE n.id = g.id AND u.id = n.user_id AND u.email_verified AND u.status = 'active'
  AND p.user_id = n.user_id AND (to_jsonb(p) ->> g.preference)::boolean
RETURNING n.user_id, n.number, n.type, n.title, left(n.message, $3) AS message, n.link;
