-- name: read_counts
-- How often chunks were added to repository $1, and erased.
SELECT coalesce(max(additions), 0) AS additions, coalesce(max(erasures), 0) AS erasures FROM repository_storage WHERE repo_id = $1;

-- name: list_keys
-- The first 8 bytes of up to $4 hashes behind $2 that repository $1 has, in order and packed, without claims older than
-- a quarter of a lease ($3); how many such claims there were; how many hashes in all, and the last.
SELECT coalesce(string_agg(decode(left(chunk_hash, 16), 'hex'), ''::bytea ORDER BY chunk_hash) FILTER (WHERE is_held),
                ''::bytea) AS keys,
       count(*) FILTER (WHERE NOT is_held) AS left_out, count(*) AS count, max(chunk_hash) AS last
FROM (SELECT chunk_hash, claimed_at IS NULL OR claimed_at > clock_timestamp() - $3::interval / 4 AS is_held
      FROM chunk_refs
      WHERE repo_id = $1 AND chunk_hash > $2
      ORDER BY chunk_hash LIMIT $4) AS page;
