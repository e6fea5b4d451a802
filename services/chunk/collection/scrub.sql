-- Verification of packs, those first that were verified the longest ago.

-- name: count_packs
-- How many sealed packs there are, and the time.
SELECT count(*) AS count, clock_timestamp() AS time FROM packs WHERE state = 'sealed';

-- name: packs_to_verify
-- Up to :count sealed packs that were last verified before :due, behind (:position, :key), in other buckets than these.
SELECT key, bucket, verified_at
FROM packs
WHERE state = 'sealed' AND verified_at < :due AND (verified_at, key) > (:position, :key)
  AND bucket <> ALL (:without::text[])
ORDER BY verified_at, key
LIMIT :count;

-- name: sealed_pack
-- The bucket of the sealed pack $1; no row if it is gone.
SELECT bucket FROM packs WHERE key = $1 AND state = 'sealed';

-- name: note_verified
-- The pack $1 was found intact just now.
UPDATE packs SET verified_at = clock_timestamp() WHERE key = $1 AND state = 'sealed';

-- name: hold_chunks
-- Locks the chunks $1.
SELECT hash FROM chunks WHERE hash = ANY ($1::text[]) ORDER BY hash FOR NO KEY UPDATE;

-- name: mark_lost
-- Of the chunks $1, if they still lie in the pack $2, no good copy is left; returns those that are newly lost.
UPDATE chunks SET lost_at = clock_timestamp()
WHERE hash = ANY ($1::text[]) AND pack_key = $2 AND lost_at IS NULL
RETURNING hash;

-- name: mark_found
-- The chunks $1, if they still lie in the pack $2, were found intact after all; returns those that had been lost.
UPDATE chunks SET lost_at = NULL
WHERE hash = ANY ($1::text[]) AND pack_key = $2 AND lost_at IS NOT NULL
RETURNING hash;

-- name: announce_lost
-- Tells each repository which of the chunks $1, of which no good copy is left, it holds.
SELECT emit_event('chunk.corrupt', i.id, NULL, NULL, jsonb_build_object(
    'owner', o.name, 'name', i.name, 'hashes', held.hashes[1:100], 'chunk_count', cardinality(held.hashes)))
FROM (SELECT repo_id, array_agg(chunk_hash ORDER BY chunk_hash) AS hashes
      FROM chunk_refs WHERE chunk_hash = ANY ($1::text[]) GROUP BY repo_id) AS held
JOIN repository_identities i ON i.id = held.repo_id AND i.deleted_at IS NULL
JOIN owner_identities o ON o.owner_type = i.owner_type AND o.owner_id = i.owner_id
ORDER BY i.id;
