-- name: read_statistics
-- The statistics of a repository, and whether something was pushed since they were counted.
SELECT s.commit_count, s.branch_count, s.tag_count, s.contributor_count, s.file_count, s.chunk_count, s.storage_bytes,
       s.logical_bytes, s.dedup_ratio, s.last_activity_at, s.calculated_at,
       repository_held_bytes(s.repo_id) AS held_bytes, coalesce(r.pushed_at > s.calculated_at, false) AS is_outdated
FROM repository_stats s JOIN repositories r ON r.id = s.repo_id
WHERE s.repo_id = $1 AND r.deleted_at IS NULL;
