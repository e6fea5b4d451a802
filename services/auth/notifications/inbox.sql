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
-- How many of a user's notifications are unread, counted up to a number, without those about repositories of some
-- owners ($3) that not everybody may read.
SELECT count(*) FROM (
    SELECT FROM notifications n
    WHERE n.user_id = $1 AND NOT n.read
      AND (cardinality($3::uuid[]) = 0 OR n.repo_id IS NULL OR coalesce((
          SELECT r.visibility = 'public' OR NOT r.owner_id = ANY ($3::uuid[])
          FROM repository_identities r WHERE r.id = n.repo_id), false))
    LIMIT $2) unread;

-- name: list_all
-- Up to $3 notifications of a user before a number, newest first; of some owners ($4) as count_unread.
SELECT n.id, n.number, n.type, n.title, n.message, n.link, n.repo_id, n.created_at, n.read_at FROM notifications n
WHERE n.user_id = $1 AND ($2::bigint IS NULL OR n.number < $2)
  AND (cardinality($4::uuid[]) = 0 OR n.repo_id IS NULL OR coalesce((
      SELECT r.visibility = 'public' OR NOT r.owner_id = ANY ($4::uuid[])
      FROM repository_identities r WHERE r.id = n.repo_id), false))
ORDER BY n.number DESC LIMIT $3;

-- name: list_unread
-- Up to $3 unread notifications of a user before a number, newest first; of some owners ($4) as count_unread.
SELECT n.id, n.number, n.type, n.title, n.message, n.link, n.repo_id, n.created_at, n.read_at FROM notifications n
WHERE n.user_id = $1 AND NOT n.read AND ($2::bigint IS NULL OR n.number < $2)
  AND (cardinality($4::uuid[]) = 0 OR n.repo_id IS NULL OR coalesce((
      SELECT r.visibility = 'public' OR NOT r.owner_id = ANY ($4::uuid[])
      FROM repository_identities r WHERE r.id = n.repo_id), false))
ORDER BY n.number DESC LIMIT $3;

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
-- Up to :count notifications of a user after a number (NULL = none), in order, each with the last number of the inbox and
-- how many are unread, counted up to :most; one row without a notification if there are none. Of some owners
-- (:refused_by) as count_unread.
SELECT coalesce(i.last_number, 0) AS last_number, u.unread,
       n.id, n.number, n.type, n.title, n.message, n.link, n.repo_id, n.created_at, n.read_at
FROM (SELECT count(*)::int AS unread
      FROM (SELECT FROM notifications n
            WHERE n.user_id = :user_id AND NOT n.read
              AND (cardinality(:refused_by::uuid[]) = 0 OR n.repo_id IS NULL OR coalesce((
                  SELECT r.visibility = 'public' OR NOT r.owner_id = ANY (:refused_by)
                  FROM repository_identities r WHERE r.id = n.repo_id), false))
            LIMIT :most) c) u
LEFT JOIN inboxes i ON i.user_id = :user_id
LEFT JOIN LATERAL (SELECT * FROM notifications n
                   WHERE n.user_id = :user_id AND n.number > :after::bigint AND n.number <= i.last_number
                     AND (cardinality(:refused_by) = 0 OR n.repo_id IS NULL OR coalesce((
                         SELECT r.visibility = 'public' OR NOT r.owner_id = ANY (:refused_by)
                         FROM repository_identities r WHERE r.id = n.repo_id), false))
                   ORDER BY n.number LIMIT :count) n ON true
ORDER BY n.number;
