-- The stores that the database means.

-- name: is_meant
-- Whether the store $2 is that of bucket $1.
SELECT EXISTS (SELECT FROM stores WHERE bucket = $1 AND id = $2);

-- name: find_unnamed
-- A bucket besides $1 in which packs lie, with where it was; no row if there is none.
SELECT s.bucket, s.location FROM stores s
WHERE s.bucket <> ALL ($1::text[]) AND EXISTS (SELECT FROM packs p WHERE p.bucket = s.bucket)
ORDER BY s.bucket LIMIT 1;
