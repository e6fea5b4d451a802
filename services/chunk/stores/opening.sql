-- The stores of the buckets. Their ids are in the stores, too.

-- name: hold_stores
-- Lets nobody else note a store of bucket $1 until the commit.
SELECT pg_advisory_xact_lock(advisory_key('stores', $1));

-- name: list_stores
-- The stores of bucket $1.
SELECT id, location FROM stores WHERE bucket = $1 ORDER BY created_at, id;

-- name: note_store
-- The store $2 of bucket $1, at $3, is used from now on, unless it goes by another name.
INSERT INTO stores (bucket, id, location) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: forget_stores
-- No store is that of bucket $1 any more.
DELETE FROM stores WHERE bucket = $1;

-- name: forget_store
-- The store $2 is none of bucket $1 any more.
DELETE FROM stores WHERE bucket = $1 AND id = $2;
