-- How long request ids are known.

-- Deletes up to p_limit request ids, the oldest first, that are older than p_keep, and returns how many: 0
-- while another transaction is at it.
CREATE OR REPLACE FUNCTION purge_idempotency_keys(p_keep INTERVAL, p_limit INT)
RETURNS INT
LANGUAGE plpgsql
AS $$
DECLARE
    v_count INT;
BEGIN
    IF NOT pg_try_advisory_xact_lock(advisory_key('retention', 'idempotency_keys')) THEN
        RETURN 0;
    END IF;
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
        SELECT k.ctid FROM idempotency_keys k
        WHERE k.created_at < statement_timestamp() - p_keep
        ORDER BY k.created_at LIMIT p_limit
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END;
$$;
