-- What was used, per entity and day.

-- Adds the amounts of a batch to the rows of their entities and days, and returns the time of the database.
-- Services gather in memory and write every few seconds. Each numbers its batches, from 0, and sends one until it
-- is answered: a batch that was recorded before changes nothing. Within a batch an entity occurs once a day.
CREATE OR REPLACE FUNCTION record_usage(p_writer_id UUID, p_batch BIGINT, p_amounts usage_amounts[])
RETURNS TIMESTAMPTZ
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO usage_writers AS w (writer_id, batch) VALUES (p_writer_id, p_batch)
    ON CONFLICT (writer_id) DO UPDATE
    SET batch = excluded.batch, written_at = excluded.written_at
    WHERE w.batch < excluded.batch;
    IF FOUND THEN
        INSERT INTO usage_metrics AS u (entity_type, entity_id, metric_date, api_requests, bandwidth_bytes,
                                        received_bytes, sent_bytes, push_count, pull_count)
        SELECT a.entity_type, a.entity_id, a.day, least(a.requests, 2147483647), a.received_bytes + a.sent_bytes,
               a.received_bytes, a.sent_bytes, a.pushes, a.pulls
        FROM unnest(p_amounts) AS a
        ORDER BY a.entity_type, a.entity_id, a.day
        ON CONFLICT (entity_type, entity_id, metric_date) DO UPDATE
        SET api_requests = least(u.api_requests::BIGINT + excluded.api_requests, 2147483647),
            bandwidth_bytes = u.bandwidth_bytes + excluded.bandwidth_bytes,
            received_bytes = u.received_bytes + excluded.received_bytes,
            sent_bytes = u.sent_bytes + excluded.sent_bytes,
            push_count = u.push_count + excluded.push_count,
            pull_count = u.pull_count + excluded.pull_count;
    END IF;
    RETURN clock_timestamp();
END;
$$;
