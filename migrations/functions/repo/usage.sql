-- What was used, per entity and day.

-- Adds what was used to today's row (UTC) of each entity. Services collect in memory and write every few
-- seconds, hence arrays, of one element per entity and of equal length. Ids must be distinct.
CREATE OR REPLACE FUNCTION record_usage(
    p_entity_type TEXT,
    p_entity_ids UUID[],
    p_bandwidth_bytes BIGINT[],
    p_api_requests INT[],
    p_push_counts INT[],
    p_pull_counts INT[]
)
RETURNS VOID
LANGUAGE sql
AS $$
    INSERT INTO usage_metrics AS u (entity_type, entity_id, metric_date, bandwidth_bytes, api_requests,
                                    push_count, pull_count)
    SELECT p_entity_type, d.entity_id, (clock_timestamp() AT TIME ZONE 'UTC')::DATE,
           d.bandwidth_bytes, d.api_requests, d.push_count, d.pull_count
    FROM unnest(p_entity_ids, p_bandwidth_bytes, p_api_requests, p_push_counts, p_pull_counts)
        AS d (entity_id, bandwidth_bytes, api_requests, push_count, pull_count)
    ORDER BY d.entity_id
    ON CONFLICT (entity_type, entity_id, metric_date) DO UPDATE
    SET bandwidth_bytes = u.bandwidth_bytes + excluded.bandwidth_bytes,
        api_requests = u.api_requests + excluded.api_requests,
        push_count = u.push_count + excluded.push_count,
        pull_count = u.pull_count + excluded.pull_count
$$;
