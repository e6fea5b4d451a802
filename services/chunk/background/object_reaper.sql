-- Objects that no pack names.

-- name: due_objects
-- Up to 1,000 objects of bucket $1 that can be deleted. An object that a pack names is a defect, and comes last.
SELECT d.id, d.key, EXISTS (SELECT FROM packs p WHERE p.key = d.key) AS named
FROM object_deletions d
WHERE d.bucket = $1 AND d.not_before < statement_timestamp()
ORDER BY named, d.not_before, d.id
LIMIT 1000;

-- name: forget_objects
-- Removes the entries $1 of objects that are gone.
DELETE FROM object_deletions WHERE id = ANY ($1::bigint[]);

-- name: postpone_object
-- Tries the entry $1 again in an hour.
UPDATE object_deletions SET not_before = clock_timestamp() + INTERVAL '1 hour' WHERE id = $1;
