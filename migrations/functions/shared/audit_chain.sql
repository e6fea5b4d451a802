-- The chain of hashes over the audit log. The program checks it without these functions (services/admin).

-- What a link hashes of a row: all that it says, in one form whatever the session's settings.
CREATE OR REPLACE FUNCTION audit_row_text(p_row audit_log)
RETURNS TEXT
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_array(
        p_row.id, (extract(epoch FROM p_row."timestamp") * 1000000)::bigint, p_row.actor_id, p_row.actor_type,
        p_row.action, p_row.resource_type, p_row.resource_id, p_row.resource_name, p_row.repo_id, p_row.org_id,
        p_row.details, p_row.ip_address::text, p_row.user_agent, p_row.request_id)::text
$$;

-- Adds up to p_count settled rows to the chains of their months, in the order (xid, id), and returns how many.
-- 0 = none is left, or another session is at it. A row is settled when no transaction can put one before it.
CREATE OR REPLACE FUNCTION seal_audit_rows(p_count INT)
RETURNS INT
LANGUAGE plpgsql
AS $$
DECLARE
    v_row audit_log;
    v_month DATE;
    v_chain audit_chains;
    v_xid XID8;
    v_id UUID;
    v_sealed INT := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(advisory_key('audit', 'seal')) THEN
        RETURN 0;
    END IF;
    SELECT c.xid, c.id INTO v_xid, v_id FROM audit_chains c ORDER BY c.xid DESC, c.id DESC LIMIT 1;
    -- From a dump of a cluster whose transactions have higher numbers: new rows come before the old ones.
    IF v_xid >= pg_snapshot_xmax(pg_current_snapshot()) THEN
        UPDATE audit_chains SET xid = '0', id = '00000000-0000-0000-0000-000000000000';
        v_xid := NULL;
        v_id := NULL;
    END IF;
    FOR v_row IN
        SELECT settled.* FROM (
            SELECT a.* FROM audit_log a
            WHERE (a.xid, a.id) > (coalesce(v_xid, '0'), coalesce(v_id, '00000000-0000-0000-0000-000000000000'))
              AND a.xid < pg_snapshot_xmin(pg_current_snapshot())
              AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.row_id = a.id)
            ORDER BY a.xid, a.id
            LIMIT p_count) settled
        ORDER BY date_trunc('month', settled."timestamp" AT TIME ZONE 'UTC'), settled.xid, settled.id
    LOOP
        v_month := date_trunc('month', v_row."timestamp" AT TIME ZONE 'UTC')::date;
        IF v_chain.month IS DISTINCT FROM v_month THEN
            PERFORM store_audit_chain(v_chain);
            v_chain := audit_chain_of(v_month);
        END IF;
        v_chain.length := v_chain.length + 1;
        v_chain.head := sha256(v_chain.head || convert_to(audit_row_text(v_row), 'UTF8'));
        INSERT INTO audit_seals (month, position, row_id, hash)
        VALUES (v_month, v_chain.length, v_row.id, v_chain.head);
        v_chain.xid := v_row.xid;
        v_chain.id := v_row.id;
        v_sealed := v_sealed + 1;
    END LOOP;
    PERFORM store_audit_chain(v_chain);
    RETURN v_sealed;
END;
$$;

-- The chain of a month; begins it if there is none.
CREATE OR REPLACE FUNCTION audit_chain_of(p_month DATE)
RETURNS audit_chains
LANGUAGE plpgsql
AS $$
DECLARE
    v_chain audit_chains;
BEGIN
    INSERT INTO audit_chains (month, length, head, xid, id)
    VALUES (p_month, 0, sha256(convert_to('dits audit ' || to_char(p_month, 'YYYY-MM'), 'UTF8')), '0',
            '00000000-0000-0000-0000-000000000000')
    ON CONFLICT (month) DO NOTHING;
    SELECT * INTO v_chain FROM audit_chains WHERE month = p_month;
    RETURN v_chain;
END;
$$;

-- Keeps how far the chain of a month has come; nothing if there is none.
CREATE OR REPLACE FUNCTION store_audit_chain(p_chain audit_chains)
RETURNS VOID
LANGUAGE sql
AS $$
    UPDATE audit_chains SET length = p_chain.length, head = p_chain.head, xid = p_chain.xid, id = p_chain.id
    WHERE month = p_chain.month
$$;
