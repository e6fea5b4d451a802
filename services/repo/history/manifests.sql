-- name: manifests
-- Some manifests; content is zstd.
SELECT hash, content FROM manifests WHERE repo_id = $1 AND hash = ANY ($2::text[]);

-- name: some_manifests
-- Some manifests, in the order of their hashes; content is zstd, and NULL once those before it come to $3 bytes.
SELECT hash, CASE WHEN coalesce(bytes_before, 0) < $3 THEN content END AS content
FROM (
    SELECT hash, content,
           sum(octet_length(content)) OVER (ORDER BY hash ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
               AS bytes_before
    FROM manifests WHERE repo_id = $1 AND hash = ANY ($2::text[])
) m;
