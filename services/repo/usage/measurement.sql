-- name: today
-- The day, by the clock of the database.
SELECT (clock_timestamp() AT TIME ZONE 'UTC')::DATE AS today;

-- name: repositories_of
-- The repositories of owners ($2) of a type ($1).
SELECT id FROM repositories WHERE owner_type = $1 AND owner_id = ANY ($2::UUID[]) AND deleted_at IS NULL;

-- name: next_owners
-- Up to $3 owners of a type ($1) with repositories and ids after $2, by id.
SELECT DISTINCT owner_id FROM repositories
WHERE owner_type = $1 AND owner_id > $2 AND deleted_at IS NULL
ORDER BY owner_id LIMIT $3;

-- name: next_organizations
-- Up to $3 organisations of a cell ($1) with ids after $2, by id.
SELECT owner_id FROM owner_identities
WHERE owner_type = 'organization' AND cell = $1 AND owner_id > $2
ORDER BY owner_id LIMIT $3;

-- name: allow_time
-- Lets the statements of this transaction take long: a repository may have many millions of chunks.
SELECT set_config('statement_timeout', '30min', TRUE);

-- name: measure_repositories
-- Measures repositories ($1) for those days from $2 to $3 that they lack. Days are UTC, as the session is.
WITH missing AS (
    SELECT r.id, d.day::DATE AS day
    FROM generate_series($2::DATE::TIMESTAMPTZ, $3::DATE::TIMESTAMPTZ, INTERVAL '1 day') AS d (day)
    JOIN repositories r ON r.created_at < d.day + INTERVAL '1 day'
    WHERE r.id = ANY ($1::UUID[])
      AND NOT EXISTS (SELECT FROM usage_metrics u
                      WHERE u.entity_type = 'repository' AND u.entity_id = r.id AND u.metric_date = d.day::DATE
                        AND u.measured_at IS NOT NULL)
), sizes AS MATERIALIZED (
    SELECT repo_id, stored_bytes, apportioned_bytes FROM measure_chunks(ARRAY(SELECT DISTINCT id FROM missing))
)
INSERT INTO usage_metrics AS u (entity_type, entity_id, metric_date, unique_contributors, logical_bytes,
                                storage_bytes, apportioned_bytes, measured_at)
SELECT 'repository', m.id, m.day,
       (SELECT count(DISTINCT e.actor_id) FROM events e
        WHERE e.repo_id = m.id AND e.type IN ('push', 'branch.created')
          AND e.created_at >= m.day AND e.created_at < m.day + INTERVAL '1 day'),
       coalesce(t.logical_bytes, 0), coalesce(s.stored_bytes, 0), coalesce(s.apportioned_bytes, 0), clock_timestamp()
FROM missing m
LEFT JOIN sizes s ON s.repo_id = m.id
LEFT JOIN repository_stats t ON t.repo_id = m.id
ORDER BY m.id, m.day
ON CONFLICT (entity_type, entity_id, metric_date) DO UPDATE
SET unique_contributors = excluded.unique_contributors, logical_bytes = excluded.logical_bytes,
    storage_bytes = excluded.storage_bytes, apportioned_bytes = excluded.apportioned_bytes,
    measured_at = excluded.measured_at
WHERE u.measured_at IS NULL
RETURNING u.entity_id;

-- name: measure_owners
-- Measures owners ($2) of a type ($1) for those days from $3 to $4 that they lack, by what their repositories have.
WITH owned AS (
    SELECT owner_id, id FROM repositories WHERE owner_type = $1 AND owner_id = ANY ($2::UUID[]) AND deleted_at IS NULL
)
INSERT INTO usage_metrics AS u (entity_type, entity_id, metric_date, unique_contributors, logical_bytes,
                                storage_bytes, apportioned_bytes, measured_at)
SELECT $1, o.owner_id, p.metric_date,
       (SELECT count(DISTINCT e.actor_id) FROM owned w JOIN events e ON e.repo_id = w.id
        WHERE w.owner_id = o.owner_id AND e.type IN ('push', 'branch.created')
          AND e.created_at >= p.metric_date AND e.created_at < p.metric_date + INTERVAL '1 day'),
       sum(p.logical_bytes), sum(p.storage_bytes), sum(p.apportioned_bytes), clock_timestamp()
FROM owned o
JOIN usage_metrics p ON p.entity_type = 'repository' AND p.entity_id = o.id
                    AND p.metric_date BETWEEN $3 AND $4 AND p.measured_at IS NOT NULL
WHERE NOT EXISTS (SELECT FROM usage_metrics m
                  WHERE m.entity_type = $1 AND m.entity_id = o.owner_id AND m.metric_date = p.metric_date
                    AND m.measured_at IS NOT NULL)
GROUP BY o.owner_id, p.metric_date
ORDER BY o.owner_id, p.metric_date
ON CONFLICT (entity_type, entity_id, metric_date) DO UPDATE
SET unique_contributors = excluded.unique_contributors, logical_bytes = excluded.logical_bytes,
    storage_bytes = excluded.storage_bytes, apportioned_bytes = excluded.apportioned_bytes,
    measured_at = excluded.measured_at
WHERE u.measured_at IS NULL
RETURNING u.entity_id;

-- name: make_snapshots
-- Makes the snapshots of organisations ($1) for those days from $2 to $3 that they lack.
INSERT INTO billing_snapshots (org_id, snapshot_date, storage_bytes, bandwidth_bytes, active_users, repo_count)
SELECT o.id, d.day::DATE, coalesce(u.storage_bytes, 0), coalesce(u.bandwidth_bytes, 0), p.active_user_count,
       (SELECT count(*) FROM repositories r
        WHERE r.owner_type = 'organization' AND r.owner_id = o.id AND r.deleted_at IS NULL)
FROM generate_series($2::DATE::TIMESTAMPTZ, $3::DATE::TIMESTAMPTZ, INTERVAL '1 day') AS d (day)
JOIN organizations o ON o.created_at < d.day + INTERVAL '1 day'
JOIN organization_plans p ON p.org_id = o.id
LEFT JOIN usage_metrics u
    ON u.entity_type = 'organization' AND u.entity_id = o.id AND u.metric_date = d.day::DATE
WHERE o.id = ANY ($1::UUID[])
  AND NOT EXISTS (SELECT FROM billing_snapshots b WHERE b.org_id = o.id AND b.snapshot_date = d.day::DATE)
ON CONFLICT (org_id, snapshot_date) DO NOTHING
RETURNING org_id;

-- name: purge_writers
-- Forgets processes that have recorded nothing for so long ($1).
DELETE FROM usage_writers WHERE written_at < clock_timestamp() - $1::INTERVAL RETURNING writer_id;
