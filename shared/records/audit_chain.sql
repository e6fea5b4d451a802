-- name: seal_lag
-- How many seconds ago the first row was written that is not sealed yet; 0 = all are sealed.
SELECT coalesce((
    SELECT greatest(extract(epoch FROM clock_timestamp() - a."timestamp"), 0) FROM audit_log a
    WHERE (a.xid, a.id) > (SELECT c.xid, c.id FROM audit_chains c
                           UNION ALL SELECT '0'::xid8, '00000000-0000-0000-0000-000000000000'::uuid
                           ORDER BY xid DESC, id DESC LIMIT 1)
    ORDER BY a.xid, a.id LIMIT 1), 0)::float8 AS seconds;

-- name: seal_audit_rows
-- Seals up to $1 settled rows; returns how many, and 0 while another process is at it.
SELECT seal_audit_rows($1) AS count;
