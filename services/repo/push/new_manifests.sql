-- name: lock_manifests
-- Those of some manifests that exist; they cannot be deleted until the end of the transaction.
SELECT hash, entry_count, total_size, chunk_count, depth, path_bytes, condemned FROM manifests
WHERE repo_id = $1 AND hash = ANY ($2::text[])
ORDER BY hash FOR KEY SHARE;

-- name: insert_manifests
-- Adds manifests; those that appeared meanwhile are locked and left as they are.
INSERT INTO manifests (repo_id, hash, commit_hash, parent_hash, entry_count, total_size, chunk_count,
                       depth, path_bytes, content, delta_base, delta_depth, decoded_bytes)
SELECT :repository_id, d.hash, d.commit, d.parent, d.entries, d.size, d.chunks,
       d.depth, d.path_bytes, d.content, d.base, d.delta_depth, d.decoded_bytes
FROM unnest(:hashes::text[], :commit_hashes::text[], :parent_hashes::text[], :entry_counts::int[],
            :total_sizes::bigint[], :chunk_counts::bigint[], :depths::int[], :path_bytes::int[],
            :contents::bytea[], :delta_bases::text[], :delta_depths::smallint[], :decoded_bytes::int[])
     AS d (hash, commit, parent, entries, size, chunks, depth, path_bytes,
           content, base, delta_depth, decoded_bytes)
ORDER BY d.hash
ON CONFLICT (repo_id, hash) DO UPDATE SET created_at = manifests.created_at WHERE false
RETURNING hash;

-- name: pardon_manifests
-- Makes of some manifests, which are locked in order, those stay that a search has condemned.
UPDATE manifests SET condemned = NULL WHERE repo_id = $1 AND hash = ANY ($2::text[]) AND condemned IS NOT NULL;

-- name: store_whole
-- Makes some manifests of this transaction ($2) stand alone: zstd ($3), sizes in canonical bytes ($4).
UPDATE manifests m SET content = d.content, delta_base = NULL, delta_depth = 0, decoded_bytes = d.size
FROM unnest($2::text[], $3::bytea[], $4::int[]) AS d (hash, content, size)
WHERE m.repo_id = $1 AND m.hash = d.hash;
