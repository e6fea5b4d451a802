-- name: insert_notifications
-- Puts notifications into inboxes, numbered there in the order given; leaves out what has come before.
WITH given AS (
    SELECT * FROM unnest(:user_ids::uuid[], :types::text[], :source_ids::uuid[], :repository_ids::uuid[],
                         :titles::text[], :messages::text[], :links::text[])
        WITH ORDINALITY AS g (user_id, type, source_id, repo_id, title, message, link, place)
), fresh AS (
    SELECT g.*, row_number() OVER (PARTITION BY g.user_id ORDER BY g.place) AS nth,
           count(*) OVER (PARTITION BY g.user_id) AS count
    FROM given g
    WHERE NOT EXISTS (SELECT FROM notifications n
                      WHERE n.user_id = g.user_id AND n.type = g.type AND n.source_id = g.source_id)
), taken AS (
    INSERT INTO inboxes AS i (user_id, last_number)
    SELECT DISTINCT user_id, count FROM fresh ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET last_number = i.last_number + excluded.last_number
    RETURNING user_id, last_number
)
INSERT INTO notifications AS n (user_id, number, type, source_id, repo_id, title, message, link)
SELECT f.user_id, t.last_number - f.count + f.nth, f.type, f.source_id, f.repo_id, f.title, f.message, f.link
FROM fresh f JOIN taken t ON t.user_id = f.user_id
ON CONFLICT ON CONSTRAINT notifications_source_key DO NOTHING
RETURNING n.id, n.user_id, n.type;

-- name: count_unread
-- How many of a user's notifications are unread, counted up to a number.
SELECT count(*) FROM (SELECT FROM notifications WHERE user_id = $1 AND NOT read LIMIT $2) unread;

-- name: list_all
-- Up to $3 notifications of a user before a number, newest first.
SELECT id, number, type, title, message, link, repo_id, created_at, read_at FROM notifications
WHERE user_id = $1 AND ($2::bigint IS NULL OR number < $2)
ORDER BY number DESC LIMIT $3;

-- name: list_unread
-- Up to $3 unread notifications of a user before a number, newest first.
SELECT id, number, type, title, message, link, repo_id, created_at, read_at FROM notifications
WHERE user_id = $1 AND NOT read AND ($2::bigint IS NULL OR number < $2)
ORDER BY number DESC LIMIT $3;

-- name: lock_notifications
-- Locks those of some notifications that are the user's, in order.
SELECT id FROM notifications WHERE user_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: lock_unread
-- Locks up to $3 unread notifications of a user that came until a time (NULL = whenever), in order.
SELECT id FROM notifications
WHERE user_id = $1 AND NOT read AND ($2::timestamptz IS NULL OR created_at <= $2)
ORDER BY id LIMIT $3 FOR NO KEY UPDATE;

-- name: mark_read
-- Marks notifications as read that are locked; once read, they stay read at that time.
UPDATE notifications SET read = true, read_at = clock_timestamp() WHERE id = ANY ($1::uuid[]) AND NOT read;

-- name: news
-- Up to $3 notifications of a user after a number (NULL = none), in order, each with the last number of the inbox and
-- how many are unread, counted up to $4; one row without a notification if there are none.
SELECT coalesce(i.last_number, 0) AS last_number, u.unread,
       n.id, n.number, n.type, n.title, n.message, n.link, n.repo_id, n.created_at, n.read_at
FROM (SELECT count(*)::int AS unread
      FROM (SELECT FROM notifications WHERE user_id = $1 AND NOT read LIMIT $4) c) u
LEFT JOIN inboxes i ON i.user_id = $1
LEFT JOIN LATERAL (SELECT * FROM notifications
                   WHERE user_id = $1 AND number > $2::bigint AND number <= i.last_number
                   ORDER BY number LIMIT $3) n ON true
ORDER BY n.number;
