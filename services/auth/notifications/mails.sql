-- name: mark_mailed
-- Marks those of some notifications, each with its preference, whose users want them at once, have an address and room
-- for another mail: one for each preference, :max_mails in a :window. The inboxes are locked.
WITH wanted AS (
    SELECT n.id, n.user_id, dense_rank() OVER (PARTITION BY n.user_id ORDER BY g.preference) AS nth,
           CASE WHEN i.mailing_since > now() - :window::interval THEN i.mail_count ELSE 0 END AS sent
    FROM unnest(:ids::uuid[], :preferences::text[]) AS g (id, preference)
    JOIN notifications n ON n.id = g.id
    JOIN users u ON u.id = n.user_id AND u.email_verified AND u.status = 'active'
    JOIN notification_preferences p ON p.user_id = n.user_id AND (to_jsonb(p) ->> g.preference)::boolean
    JOIN inboxes i ON i.user_id = n.user_id
), chosen AS (
    SELECT * FROM wanted WHERE sent + nth <= :max_mails
), counted AS (
    UPDATE inboxes i
    SET mail_count = c.sent + c.mails, mailing_since = CASE WHEN c.sent = 0 THEN now() ELSE i.mailing_since END
    FROM (SELECT user_id, sent, max(nth) AS mails FROM chosen GROUP BY user_id, sent) c
    WHERE i.user_id = c.user_id
)
UPDATE notifications n SET mailed = true
FROM chosen c
WHERE n.id = c.id
RETURNING n.user_id, n.number, n.type, n.title, left(n.message, :message_length) AS message, n.link;
