-- Regions, and classes in them, by whose names stores go.

-- name: other_name
-- A bucket besides $1 by whose name one of the stores $2 goes, and whether something lies there, waits for its deletion, or is
-- wanted there; no row if there is none.
SELECT s.bucket,
       EXISTS (SELECT FROM packs p WHERE p.bucket = s.bucket)
       OR EXISTS (SELECT FROM object_deletions d WHERE d.bucket = s.bucket)
       OR EXISTS (SELECT FROM repository_regions p WHERE s.bucket = ANY (p.regions)) AS is_used
FROM stores s
WHERE s.bucket <> $1 AND s.id = ANY ($2::uuid[])
ORDER BY s.bucket LIMIT 1;

-- name: forget_name
-- No store goes by the name of bucket $1 any more.
DELETE FROM stores WHERE bucket = $1;
