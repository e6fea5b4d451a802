-- name: page
-- Contents after one, the largest first, of those that pass the filters, at most :count; of :scanned that are looked
-- at. If there may be more, the last that was looked at follows as a row with is_end.
WITH scanned AS MATERIALIZED (
    SELECT hash, size, mime_type, file_name, chunk_count, metadata, first_seen_at, last_seen_at, ref_count
    FROM assets
    WHERE repo_id = :repository_id AND size <= :size::bigint AND size >= :min_size::bigint
      AND (size < :size OR hash > :hash::text)
    ORDER BY size DESC, hash
    LIMIT :scanned::int
)
(SELECT scanned.*, FALSE AS is_end,
        (SELECT o.reason FROM obliterations o WHERE o.repo_id = :repository_id AND o.hash = scanned.hash) AS obliterated
 FROM scanned
 WHERE (:mime_type::text = '' OR mime_type = :mime_type
        OR right(:mime_type, 1) = '/' AND starts_with(mime_type, :mime_type))
   AND (:name::text = '' OR position(lower(:name) IN lower(file_name)) > 0)
 ORDER BY size DESC, hash
 LIMIT :count::int)
UNION ALL
(SELECT scanned.*, TRUE, NULL FROM scanned
 WHERE (SELECT count(*) FROM scanned) = :scanned
 ORDER BY size, hash DESC
 LIMIT 1);

-- name: asset
-- One content.
SELECT a.hash, a.size, a.mime_type, a.file_name, a.chunk_count, a.metadata, a.first_seen_at, a.last_seen_at, a.ref_count,
       o.reason AS obliterated
FROM assets a LEFT JOIN obliterations o USING (repo_id, hash)
WHERE a.repo_id = $1 AND a.hash = $2;

-- name: update_asset
-- Changes what clients have stored about a content: its media type, its metadata, or both.
UPDATE assets
SET mime_type = CASE WHEN :sets_type::boolean THEN nullif(:mime_type::text, '') ELSE mime_type END,
    metadata = CASE WHEN :sets_metadata::boolean THEN :metadata::jsonb ELSE metadata END
WHERE repo_id = :repository_id AND hash = :hash
RETURNING hash, size, mime_type, file_name, chunk_count, metadata, first_seen_at, last_seen_at, ref_count,
          NULL AS obliterated;
