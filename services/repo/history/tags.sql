-- name: lock_tags
-- Locks some tags, in order, and returns where they are.
SELECT name, commit_hash, tag_hash, signature FROM tags
WHERE repo_id = $1 AND name = ANY ($2::text[]) ORDER BY name FOR UPDATE;

-- name: is_manifest
-- Whether a hash is a directory's.
SELECT EXISTS (SELECT FROM manifests WHERE repo_id = $1 AND hash = $2);

-- name: insert_tags
-- Creates those of some tags that do not exist, in order. A tag is lightweight where its hash is NULL.
INSERT INTO tags (repo_id, name, commit_hash, tag_type, tag_hash, message, created_by, created_at,
                  tagger_name, tagger_email, tagger_timestamp, tagger_offset_minutes,
                  signature, signature_key, signature_email, signature_verdict, signature_verified)
SELECT :repository_id, d.name, d.head, CASE WHEN d.hash IS NULL THEN 'lightweight' ELSE 'annotated' END,
       d.hash, d.message, :user_id, clock_timestamp(), d.tagger, d.email, d.tagged, d.tagger_offset,
       d.signature, d.signature_key, d.signature_email, v.verdict, v.verdict = 'good'
FROM unnest(:names::text[], :heads::text[], :hashes::text[], :messages::text[], :tagger_names::text[],
            :tagger_emails::text[], :tagger_timestamps::timestamptz[], :tagger_offsets::smallint[],
            :signatures::bytea[], :keys::text[], :emails::text[], :faults::text[])
     AS d (name, head, hash, message, tagger, email, tagged, tagger_offset,
           signature, signature_key, signature_email, fault),
     LATERAL (
         SELECT CASE WHEN d.signature IS NOT NULL
             THEN coalesce(d.fault, signing_verdict(d.signature_key, d.signature_email)) END AS verdict
     ) v
ORDER BY d.name COLLATE "C"
ON CONFLICT (repo_id, name) DO NOTHING
RETURNING name;

-- name: delete_tags
-- Removes tags that are locked.
DELETE FROM tags WHERE repo_id = $1 AND name = ANY ($2::text[]);

-- name: count_tags
-- Adds $2 to the repository's number of tags.
UPDATE repository_stats SET tag_count = tag_count + $2 WHERE repo_id = $1;

-- name: get_tag
-- One tag.
SELECT name, commit_hash, tag_hash, message, tagger_name, tagger_email, tagger_timestamp, tagger_offset_minutes,
       created_by, created_at, signature, signature_key, signature_verdict
FROM tags WHERE repo_id = $1 AND name = $2;

-- name: list_tags
-- Up to :count tags that begin with a prefix, by name, after one, until their messages have more than :bytes.
SELECT name, commit_hash, tag_hash, message, tagger_name, tagger_email, tagger_timestamp, tagger_offset_minutes,
       created_by, created_at, NULL AS signature, signature_key, signature_verdict, size
FROM (
    SELECT *, sum(size) OVER (ORDER BY name) AS total
    FROM (
        SELECT *, coalesce(octet_length(message), 0) AS size FROM tags
        WHERE repo_id = :repository_id AND starts_with(name, :prefix)
          AND (:after::text IS NULL OR name > :after COLLATE "C")
        ORDER BY name LIMIT :count
    ) found
) listed
WHERE total - size <= :bytes
ORDER BY name;
