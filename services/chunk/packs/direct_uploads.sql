-- Objects that clients may put.

-- name: hold_uploads
-- Lets the user $1 begin no other upload until the commit.
SELECT pg_advisory_xact_lock(advisory_key('pack uploads', $1));

-- name: forget_uploads
-- Deletes the records of some uploads that ended a day ago.
DELETE FROM pack_uploads
WHERE id IN (SELECT id FROM pack_uploads WHERE expires_at < statement_timestamp() - INTERVAL '1 day'
             ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED);

-- name: count_open
-- How many uploads the user $1 can still confirm.
SELECT count(*) FROM pack_uploads WHERE user_id = $1 AND expires_at > statement_timestamp() AND confirmed_at IS NULL;

-- name: open_object
-- Announces an object that a client may put; the sweep of open packs gives it up.
INSERT INTO packs (key, bucket, region) VALUES ($1, $2, $3);

-- name: insert_upload
-- A new upload; returns until when it can be confirmed.
INSERT INTO pack_uploads (id, repo_id, user_id, key, bucket, byte_count, expires_at)
VALUES (:upload_id, :repository_id, :user_id, :key, :bucket, :byte_count, clock_timestamp() + :lasting::interval)
RETURNING expires_at;

-- name: get_upload
-- The upload $2 to repository $1, and whether it can be confirmed; conflicts: packed hashes.
SELECT u.id, u.key, u.bucket, u.byte_count, u.stored_chunk_count, u.stored_bytes, u.conflicts,
       u.confirmed_at IS NOT NULL AS is_confirmed,
       u.expires_at > clock_timestamp() AND EXISTS (SELECT FROM packs p WHERE p.key = u.key) AS is_open
FROM pack_uploads u WHERE u.id = $2 AND u.repo_id = $1;

-- name: hold_upload
-- Locks the upload $1 while nobody has confirmed it; no row if somebody has.
SELECT 1 FROM pack_uploads WHERE id = $1 AND confirmed_at IS NULL FOR NO KEY UPDATE;

-- name: end_upload
-- The upload $1, which is locked, has brought $2 chunks of $3 bytes, and found others under another key ($4, packed hashes). Its
-- object goes when it can no longer be put again.
WITH ended AS (
    UPDATE pack_uploads
    SET confirmed_at = clock_timestamp(), stored_chunk_count = $2, stored_bytes = $3, conflicts = $4
    WHERE id = $1
    RETURNING key, bucket, byte_count, expires_at
), dropped AS (
    DELETE FROM packs p USING ended e WHERE p.key = e.key AND p.state = 'open' RETURNING p.key
)
INSERT INTO object_deletions (bucket, key, bytes, not_before)
SELECT e.bucket, e.key, e.byte_count, e.expires_at + INTERVAL '1 minute' FROM ended e JOIN dropped d ON d.key = e.key;
