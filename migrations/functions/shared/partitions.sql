-- Monthly partitions of audit_log and usage_metrics.

-- Makes the partitions of this month and of the p_months_ahead following ones, and of every earlier month
-- that still has rows in the default partition, which move to their place. Returns the names of the new
-- ones; running it again changes nothing. Months are UTC.
--
-- ATTACH does not stop writers of other months, CREATE ... PARTITION OF would. Whoever waits too long for
-- the default partition gives up: better a late partition than a queue of writers behind the wait.
CREATE OR REPLACE FUNCTION ensure_month_partitions(p_months_ahead INT)
RETURNS TEXT[]
LANGUAGE plpgsql
SET timezone = 'UTC'
SET lock_timeout = '5s'
AS $$
DECLARE
    v_last TIMESTAMPTZ := date_trunc('month', now()) + make_interval(months => p_months_ahead);
    v_table TEXT;
    v_column TEXT;
    v_months TIMESTAMPTZ[];
    v_month TIMESTAMPTZ;
    v_partition TEXT;
    v_made TEXT[] := '{}';
BEGIN
    PERFORM pg_advisory_xact_lock(advisory_key('partitions', 'months'));
    FOR v_table, v_column IN VALUES ('audit_log', 'timestamp'), ('usage_metrics', 'metric_date') LOOP
        EXECUTE format(
            'SELECT ARRAY(SELECT generate_series(date_trunc(''month'', now()), $1, interval ''1 month'')'
            ' UNION SELECT date_trunc(''month'', %1$I) FROM %2$I WHERE %1$I < $1 + interval ''1 month'''
            ' ORDER BY 1)', v_column, v_table || '_default') INTO v_months USING v_last;
        FOREACH v_month IN ARRAY v_months LOOP
            v_partition := v_table || to_char(v_month, '_YYYY_MM');
            CONTINUE WHEN to_regclass(v_partition) IS NOT NULL;
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', v_table || '_default');
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', v_partition, v_table);
            -- The trigger that keeps the audit log append-only would take the move for a deletion.
            IF v_table = 'audit_log' THEN
                ALTER TABLE audit_log_default DISABLE TRIGGER audit_log_append_only;
            END IF;
            EXECUTE format(
                'WITH moved AS (DELETE FROM %1$I WHERE %2$I >= $1 AND %2$I < $1 + interval ''1 month'''
                ' RETURNING *) INSERT INTO %3$I SELECT * FROM moved',
                v_table || '_default', v_column, v_partition) USING v_month;
            IF v_table = 'audit_log' THEN
                ALTER TABLE audit_log_default ENABLE ALWAYS TRIGGER audit_log_append_only;
                EXECUTE format(
                    'CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON %I'
                    ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()', v_partition);
                EXECUTE format(
                    'ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_log_no_truncate', v_partition);
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           v_table, v_partition, v_month, v_month + interval '1 month');
            v_made := v_made || v_partition;
        END LOOP;
    END LOOP;
    RETURN v_made;
END;
$$;

-- Drops the monthly partitions of audit_log or usage_metrics that ended on or before p_older_than, and
-- returns their names. This is the only way out of the audit log; its chain says when a month was dropped.
CREATE OR REPLACE FUNCTION drop_month_partitions(p_table TEXT, p_older_than DATE)
RETURNS TEXT[]
LANGUAGE plpgsql
SET lock_timeout = '5s'
AS $$
DECLARE
    v_partition TEXT;
    v_dropped TEXT[] := '{}';
BEGIN
    IF p_table NOT IN ('audit_log', 'usage_metrics') THEN
        RAISE EXCEPTION 'table % has no monthly partitions', p_table
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR v_partition IN
        SELECT child.relname
        FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = p_table::regclass
          AND child.relname ~ '_\d{4}_\d{2}$'
          AND to_date(right(child.relname, 7), 'YYYY_MM') + interval '1 month' <= p_older_than
        ORDER BY child.relname
    LOOP
        EXECUTE format('DROP TABLE %I', v_partition);
        IF p_table = 'audit_log' THEN
            UPDATE audit_chains SET dropped_at = now()
            WHERE month = to_date(right(v_partition, 7), 'YYYY_MM');
            DELETE FROM audit_seals WHERE month = to_date(right(v_partition, 7), 'YYYY_MM');
        END IF;
        v_dropped := v_dropped || v_partition;
    END LOOP;
    RETURN v_dropped;
END;
$$;
