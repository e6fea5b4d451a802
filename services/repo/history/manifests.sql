-- name: manifest_forms
-- Those of some manifests that exist, in the order of their hashes until $3 bytes are decoded for them, and the
-- bases of these. Each row is read by its key.
WITH RECURSIVE asked AS MATERIALIZED (
    SELECT hash, delta_base FROM (
        SELECT hash, delta_base,
               sum(decoded_bytes) OVER (ORDER BY hash ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                   AS bytes_before
        FROM manifests WHERE repo_id = $1 AND hash = ANY ($2::text[])
    ) m
    WHERE coalesce(bytes_before, 0) < $3::bigint
), forms AS (
    SELECT hash, delta_base FROM asked
    UNION
    SELECT b.hash, b.delta_base FROM forms f CROSS JOIN LATERAL (
        SELECT hash, delta_base FROM manifests WHERE repo_id = $1 AND hash = f.delta_base OFFSET 0
    ) b
)
SELECT f.hash, f.delta_base, m.content FROM forms f CROSS JOIN LATERAL (
    SELECT content FROM manifests WHERE repo_id = $1 AND hash = f.hash OFFSET 0
) m;
