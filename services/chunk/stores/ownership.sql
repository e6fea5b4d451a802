-- The stamps of this database in stores.

-- name: find_stamps
-- This database's id; its stamps of store $1, oldest first; what the store is to say, with the newest one; whether
-- that is older than $2; whether this database uses the store; and its clock.
SELECT database_id()::text AS database_id, coalesce(s.stamps::text[], '{}') AS stamps,
       concat_ws(' ', database_id(), s.stamps[cardinality(s.stamps)],
                 to_char(s.stamped_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS text,
       coalesce(s.stamped_at < clock_timestamp() - $2::interval, FALSE) AS is_due,
       EXISTS (SELECT FROM stores WHERE id = $1) AS is_noted, clock_timestamp() AS now
FROM (SELECT) AS one LEFT JOIN store_stamps s ON s.store_id = $1;

-- name: add_stamp
-- Adds a stamp of store $1 behind $2, the newest, or as the first one; not if another one has become the newest.
INSERT INTO store_stamps AS s (store_id, stamps) VALUES ($1, ARRAY[gen_random_uuid()])
ON CONFLICT (store_id) DO UPDATE
SET stamps = (s.stamps || gen_random_uuid())[greatest(1, cardinality(s.stamps) - 14):], stamped_at = clock_timestamp()
WHERE s.stamps[cardinality(s.stamps)] = $2::uuid;
