-- name: days_of_entity
-- The usage of an entity by day, in the columns of the CSV file.
SELECT metric_date AS day, entity_type, entity_id AS id, :name::TEXT AS name, api_requests, received_bytes, sent_bytes,
       push_count, pull_count, unique_contributors,
       CASE WHEN measured_at IS NOT NULL THEN logical_bytes END,
       CASE WHEN measured_at IS NOT NULL THEN storage_bytes END,
       CASE WHEN measured_at IS NOT NULL THEN apportioned_bytes END
FROM usage_metrics
WHERE entity_type = :entity_type AND entity_id = :entity_id AND metric_date BETWEEN :first AND :last
ORDER BY metric_date;

-- name: days_of_owned
-- The usage of up to :count repositories of an owner, with ids after :after, by repository and day, in the columns of
-- the CSV file. A repository without usage has one row, without a day.
SELECT u.metric_date AS day, u.entity_type, r.id, :owner::TEXT || '/' || r.name AS name,
       u.api_requests, u.received_bytes, u.sent_bytes, u.push_count, u.pull_count, u.unique_contributors,
       CASE WHEN u.measured_at IS NOT NULL THEN u.logical_bytes END,
       CASE WHEN u.measured_at IS NOT NULL THEN u.storage_bytes END,
       CASE WHEN u.measured_at IS NOT NULL THEN u.apportioned_bytes END
FROM (SELECT id, name FROM repositories
      WHERE owner_type = :owner_type AND owner_id = :owner_id AND deleted_at IS NULL AND id > :after
      ORDER BY id LIMIT :count) r
LEFT JOIN usage_metrics u
    ON u.entity_type = 'repository' AND u.entity_id = r.id AND u.metric_date BETWEEN :first AND :last
ORDER BY r.id, u.metric_date;
