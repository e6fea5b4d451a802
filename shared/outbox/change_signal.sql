-- name: changed_repositories
-- Repositories with events of transaction $1 or later ones that have settled (NULL = an event of none), out of the
-- first 10,000 events (is_cut: there are more), and the transaction at which the next poll begins.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS settled,
       coalesce(array_agg(DISTINCT e.repo_id) FILTER (WHERE e.number <= 10000), '{}') AS changed,
       count(*) > 10000 AS is_cut
FROM (SELECT o.repo_id, row_number() OVER (ORDER BY o.xid, o.id) AS number
      FROM settled_events o WHERE (o.xid, o.id) > ($1::text::xid8, 0::bigint)
      ORDER BY o.xid, o.id LIMIT 10001) e;
