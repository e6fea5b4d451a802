-- name: purge_notifications
-- Deletes up to $3 notifications: read longer than $1 ago, or unread and older than $2; returns how many.
WITH old AS (
    (SELECT id FROM notifications WHERE read AND read_at < statement_timestamp() - $1::interval
     ORDER BY read_at LIMIT $3)
    UNION ALL
    (SELECT id FROM notifications WHERE NOT read AND created_at < statement_timestamp() - $2::interval
     ORDER BY created_at LIMIT $3)
    LIMIT $3
), gone AS (
    DELETE FROM notifications WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING 1
)
SELECT count(*) FROM gone;
