-- name: lock_inboxes
-- Locks up to $2 inboxes, after a user, in which something came since the last digest.
SELECT user_id FROM inboxes WHERE user_id > $1 AND last_number > digested_number
ORDER BY user_id LIMIT $2 FOR NO KEY UPDATE;

-- name: digests
-- Of those users who get a digest of this period: the first :count notifications that are unread, came since the last
-- digest and were not mailed, newest first, each with how many there are.
SELECT i.user_id, d.count, d.title, left(d.message, :message_length) AS message, d.link
FROM inboxes i
CROSS JOIN LATERAL (
    SELECT n.number, n.title, n.message, n.link, count(*) OVER () AS count
    FROM notifications n
    WHERE n.user_id = i.user_id AND NOT n.read AND n.mailed_at IS NULL AND n.number > i.digested_number
    ORDER BY n.number DESC LIMIT :count
) d
WHERE i.user_id = ANY (:user_ids::uuid[])
  AND EXISTS (SELECT FROM users u WHERE u.id = i.user_id AND u.email_verified AND u.status = 'active' OFFSET 0)
  AND EXISTS (SELECT FROM notification_preferences p WHERE p.user_id = i.user_id AND p.email_digest = :period OFFSET 0)
ORDER BY i.user_id, d.number DESC;

-- name: mark_digested
-- Notes that the users have been offered all there is, if they get a digest of this period.
UPDATE inboxes i SET digested_number = i.last_number
WHERE i.user_id = ANY ($1::uuid[])
  AND EXISTS (SELECT FROM users u WHERE u.id = i.user_id AND u.email_verified AND u.status = 'active' OFFSET 0)
  AND EXISTS (SELECT FROM notification_preferences p WHERE p.user_id = i.user_id AND p.email_digest = $2 OFFSET 0);
