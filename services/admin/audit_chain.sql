-- name: list_months
-- The chains, and months that have links but no chain (all else NULL).
SELECT month, c.length, c.head, c.dropped_at
FROM audit_chains c FULL JOIN (SELECT DISTINCT month FROM audit_seals) s USING (month);

-- name: sealed_so_far
-- The last row that was sealed.
SELECT xid, id FROM audit_chains ORDER BY xid DESC, id DESC LIMIT 1;

-- name: list_links
-- The links of a month ($1), which begins at $2 and ends before $3, with what they hash; the text is NULL if the row
-- is not there. Equal to audit_row_text, and not that function: it is checked here, too.
SELECT s.position, s.row_id, s.hash,
       CASE WHEN a.id IS NOT NULL THEN jsonb_build_array(
           a.id, (extract(epoch FROM a."timestamp") * 1000000)::bigint, a.actor_id, a.actor_type, a.action,
           a.resource_type, a.resource_id, a.resource_name, a.repo_id, a.org_id, a.details, a.ip_address::text,
           a.user_agent, a.request_id)::text END AS text
FROM audit_seals s
LEFT JOIN audit_log a ON a.id = s.row_id AND a."timestamp" >= $2 AND a."timestamp" < $3
WHERE s.month = $1
ORDER BY s.position;

-- name: list_strays
-- For each month the first row that should have been sealed by ($1, $2), and was not, or whose month was dropped, or that
-- will not be sealed because no transaction has had its number yet.
SELECT DISTINCT ON (month) month, a.id, a."timestamp", a.xid::text AS xid,
       a.xid >= pg_snapshot_xmax(pg_current_snapshot()) AS is_ahead
FROM (SELECT id, "timestamp", xid, date_trunc('month', "timestamp" AT TIME ZONE 'UTC')::date AS month
      FROM audit_log) a
LEFT JOIN audit_chains c USING (month)
WHERE (((a.xid, a.id) <= ($1::xid8, $2::uuid) OR a.xid >= pg_snapshot_xmax(pg_current_snapshot()))
       AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.row_id = a.id AND s.month = a.month))
   OR c.dropped_at IS NOT NULL
ORDER BY month, a."timestamp", a.id;

-- name: count_unsealed
-- How many rows without a link come after ($1, $2), the last that was sealed; NULL = none was.
SELECT count(*) FROM audit_log a
WHERE ($1::xid8 IS NULL OR (a.xid, a.id) > ($1::xid8, $2::uuid))
  AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.row_id = a.id);
