-- name: list_runs
-- Up to :count runs, of one kind or of all, newest first, behind one of them.
SELECT id, kind, outcome, started_at, ended_at, job_id, requested_by, report::text AS report
FROM maintenance_runs
WHERE (:kind::text IS NULL OR kind = :kind)
  AND (:started_at::timestamptz IS NULL OR (started_at, id) < (:started_at, :run_id::uuid))
ORDER BY started_at DESC, id DESC
LIMIT :count;

-- name: list_lost_chunks
-- Up to $3 lost chunks behind $2, those of repository $1 or (NULL) all; and where it stopped, if $4 steps did not suffice.
SELECT hash, size, lost_at, is_here FROM lost_chunks($1, $2, $3, $4);

-- name: measure_repository
-- What the repository $1 holds. No row says whether others hold it, too: that is nobody's to know.
SELECT coalesce(max(s.chunk_count), 0) AS chunk_count,
       coalesce(max(s.held_bytes), 0) AS uncompressed_bytes,
       coalesce(max(s.stored_bytes), 0) AS stored_bytes,
       (SELECT count(*) FROM chunk_refs r WHERE r.claimed_at IS NOT NULL AND r.repo_id = $1) AS claimed_chunk_count,
       (SELECT count(*) FROM chunks c JOIN chunk_refs r ON r.repo_id = $1 AND r.chunk_hash = c.hash
        WHERE c.lost_at IS NOT NULL) AS lost_chunk_count
FROM repository_storage s
WHERE s.repo_id = $1;

-- name: count_packs
-- Where sealed packs lie: region, class, their number and bytes.
SELECT region, storage_class, count(*) AS pack_count, sum(bytes)::bigint AS pack_bytes
FROM (SELECT region, coalesce(nullif(split_part(bucket, '.', 2), ''), 'standard') AS storage_class, bytes
      FROM packs WHERE state = 'sealed') AS sealed
GROUP BY region, storage_class
ORDER BY region, storage_rank(storage_class);

-- name: count_queue
-- The objects that wait for their deletion.
SELECT count(*) AS queued_object_count, coalesce(sum(bytes), 0)::bigint AS queued_bytes FROM object_deletions;
