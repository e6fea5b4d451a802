-- name: mark_mailed
-- Marks those of some notifications, each with its preference, whose users want them at once, have an address, and have
-- room: of one preference, about repositories of one owner, they get as many mails in a :window as are left of
-- :max_mails, one at least, up to :most_mails of all. What is marked at once is one mail. The inboxes are locked.
WITH wanted AS (
    SELECT n.id, n.user_id, g.preference, coalesce(r.owner_id, n.user_id) AS source_id
    FROM unnest(:ids::uuid[], :preferences::text[]) AS g (id, preference)
    CROSS JOIN LATERAL (SELECT * FROM notifications WHERE notifications.id = g.id OFFSET 0) n
    LEFT JOIN LATERAL (SELECT i.owner_id FROM repository_identities i WHERE i.id = n.repo_id OFFSET 0) r ON TRUE
    WHERE EXISTS (SELECT FROM users u WHERE u.id = n.user_id AND u.email_verified AND u.status = 'active' OFFSET 0)
      AND EXISTS (SELECT FROM notification_preferences p
                  WHERE p.user_id = n.user_id AND (to_jsonb(p) ->> g.preference)::boolean OFFSET 0)
), sent AS (
    SELECT n.user_id, k.preference, coalesce(r.owner_id, n.user_id) AS source_id, n.mailed_at
    FROM (SELECT DISTINCT user_id FROM wanted) w
    CROSS JOIN LATERAL (SELECT * FROM notifications
                        WHERE notifications.user_id = w.user_id AND mailed_at > now() - :window::interval
                          AND mailed_at < now() OFFSET 0) n
    JOIN unnest(:types::text[], :type_preferences::text[]) AS k (type, preference) ON k.type = n.type
    LEFT JOIN LATERAL (SELECT i.owner_id FROM repository_identities i WHERE i.id = n.repo_id OFFSET 0) r ON TRUE
), of_sources AS (
    SELECT user_id, preference, source_id, count(DISTINCT mailed_at) AS mails FROM sent GROUP BY 1, 2, 3
), of_all AS (
    SELECT user_id, preference, count(DISTINCT mailed_at) AS mails FROM sent GROUP BY 1, 2
), chosen AS (
    SELECT w.id
    FROM wanted w
    LEFT JOIN of_all a ON a.user_id = w.user_id AND a.preference = w.preference
    LEFT JOIN of_sources s ON s.user_id = w.user_id AND s.preference = w.preference AND s.source_id = w.source_id
    WHERE coalesce(a.mails, 0) < :most_mails
      AND coalesce(s.mails, 0) < greatest(1, :max_mails - coalesce(a.mails, 0))
)
UPDATE notifications n SET mailed_at = now()
WHERE n.id = ANY (ARRAY(SELECT id FROM chosen))
RETURNING n.user_id, n.number, n.type, n.title, left(n.message, :message_length) AS message, n.link;
