-- name: lock_manifests
-- Those of some manifests that exist; they cannot be deleted until the end of the transaction.
SELECT hash, entry_count, total_size, chunk_count, depth, path_bytes FROM manifests
WHERE repo_id = $1 AND hash = ANY ($2::text[])
ORDER BY hash FOR KEY SHARE;

-- name: insert_manifests
-- Adds manifests; those that appeared meanwhile are locked and left as they are.
INSERT INTO manifests (repo_id, hash, commit_hash, parent_hash, entry_count, total_size, chunk_count,
                       depth, path_bytes, content)
SELECT :repository_id, d.hash, d.commit, d.parent, d.entries, d.size, d.chunks,
       d.depth, d.path_bytes, d.content
FROM unnest(:hashes::text[], :commit_hashes::text[], :parent_hashes::text[], :entry_counts::int[],
            :total_sizes::bigint[], :chunk_counts::bigint[], :depths::int[], :path_bytes::int[],
            :contents::bytea[])
     AS d (hash, commit, parent, entries, size, chunks, depth, path_bytes, content)
ORDER BY d.hash
ON CONFLICT (repo_id, hash) DO UPDATE SET created_at = manifests.created_at WHERE false
RETURNING hash;
