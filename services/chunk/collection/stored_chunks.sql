-- name: chunks_of_pack
-- The chunks whose home copy, or copy in another region, lies in the pack $1, and how each is stored there.
SELECT decode(c.hash, 'hex') AS digest, c.size, c.compression, stored.storage_key, stored.is_home, c.lost_at
FROM (SELECT hash, storage_key, TRUE AS is_home FROM chunks WHERE pack_key = $1
      UNION ALL
      SELECT chunk_hash, storage_key, FALSE FROM chunk_locations WHERE pack_key = $1) AS stored
JOIN chunks c ON c.hash = stored.hash;

-- name: places_of_chunks
-- Where the chunks $1 lie, in all regions, and how they are stored there.
SELECT decode(c.hash, 'hex') AS digest, c.size, c.compression, place.bucket, place.storage_key, place.is_home, c.lost_at
FROM chunks c
CROSS JOIN LATERAL (SELECT c.storage_bucket AS bucket, c.storage_key, TRUE AS is_home
                    UNION ALL
                    SELECT l.bucket, l.storage_key, FALSE FROM chunk_locations l WHERE l.chunk_hash = c.hash) AS place
WHERE c.hash = ANY ($1::text[]);
