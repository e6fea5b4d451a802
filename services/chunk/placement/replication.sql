-- The queue of copies.

-- name: has_due
-- Whether a copy is due in one of the regions $1.
SELECT EXISTS (SELECT FROM unnest($1::text[]) AS r (region)
               WHERE EXISTS (SELECT FROM due_copies d WHERE d.region = r.region AND d.due_at <= statement_timestamp()));

-- name: list_due
-- Up to :count chunks whose copies in a region are due by :until, behind (:due_at, :hash): together those that came together.
SELECT DISTINCT due_at, chunk_hash
FROM due_copies
WHERE region = :region AND due_at <= :until AND (due_at, chunk_hash) > (:due_at, :hash)
ORDER BY due_at, chunk_hash
LIMIT :count;

-- name: left_copies
-- Those of the chunks $2 of which a copy is queued for region $1.
SELECT hash FROM unnest($2::text[]) AS h (hash)
WHERE EXISTS (SELECT FROM due_copies d WHERE d.region = $1 AND d.chunk_hash = h.hash OFFSET 0);

-- name: count_due
-- How many entries of the queue of region $1 were due by $2.
SELECT count(*)::int FROM due_copies WHERE region = $1 AND due_at <= $2;
