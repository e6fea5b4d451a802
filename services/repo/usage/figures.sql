-- name: figures
-- The usage of an entity from :first to :last, by :unit of the calendar; the last row is all of it. The storage is
-- that of the last day that has one.
SELECT min(d.day) AS first_day,
       max(d.day) AS last_day,
       coalesce(sum(u.api_requests), 0)::BIGINT AS requests,
       coalesce(sum(u.received_bytes), 0)::BIGINT AS received_bytes,
       coalesce(sum(u.sent_bytes), 0)::BIGINT AS sent_bytes,
       coalesce(sum(u.push_count), 0)::BIGINT AS pushes,
       coalesce(sum(u.pull_count), 0)::BIGINT AS pulls,
       coalesce(max(u.unique_contributors), 0) AS contributors,
       max(d.day) FILTER (WHERE u.measured_at IS NOT NULL) AS storage_day,
       (array_agg(u.logical_bytes ORDER BY d.day DESC) FILTER (WHERE u.measured_at IS NOT NULL))[1] AS logical_bytes,
       (array_agg(u.storage_bytes ORDER BY d.day DESC) FILTER (WHERE u.measured_at IS NOT NULL))[1] AS stored_bytes,
       (array_agg(u.apportioned_bytes ORDER BY d.day DESC)
           FILTER (WHERE u.measured_at IS NOT NULL))[1] AS apportioned_bytes
FROM (SELECT day::DATE AS day, date_trunc(:unit, day) AS period
      FROM generate_series(:first::DATE::TIMESTAMP, :last::DATE::TIMESTAMP, INTERVAL '1 day') AS day) d
LEFT JOIN usage_metrics u
    ON u.entity_type = :entity_type AND u.entity_id = :entity_id AND u.metric_date = d.day
GROUP BY ROLLUP (d.period)
ORDER BY d.period NULLS LAST;
