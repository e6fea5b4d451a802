-- name: lock_repository
-- The repository and its rules; it stays there until the end of the transaction.
SELECT r.archived OR r.disabled AS read_only, r.default_branch,
       s.require_lock_for_edit, s.max_file_size_bytes, s.allowed_extensions,
       (SELECT c.tree_hash FROM branches b
        JOIN commits c ON c.repo_id = b.repo_id AND c.hash = b.head_commit
        WHERE b.repo_id = r.id AND b.name = r.default_branch) AS shared_tree
FROM repositories r JOIN repository_settings s ON s.repo_id = r.id
WHERE r.id = $1 AND r.deleted_at IS NULL
FOR KEY SHARE OF r;

-- name: lock_manifests
-- Those of some manifests that exist; nobody deletes them until the end of the transaction.
SELECT hash, entry_count, total_size, chunk_count FROM manifests
WHERE repo_id = $1 AND hash = ANY ($2::text[])
ORDER BY hash FOR KEY SHARE;

-- name: insert_manifests
-- Adds manifests; those that appeared meanwhile are locked and left as they are.
INSERT INTO manifests (repo_id, hash, commit_hash, parent_hash, entry_count, total_size, chunk_count, content)
SELECT :repository_id, d.hash, d.commit, d.parent, d.entries, d.size, d.chunks, d.content
FROM unnest(:hashes::text[], :commit_hashes::text[], :parent_hashes::text[], :entry_counts::int[],
            :total_sizes::bigint[], :chunk_counts::bigint[], :contents::bytea[])
     AS d (hash, commit, parent, entries, size, chunks, content)
ORDER BY d.hash
ON CONFLICT (repo_id, hash) DO UPDATE SET created_at = manifests.created_at WHERE false
RETURNING hash;

-- name: count_push
-- Adds what a push brought to the repository's counters.
UPDATE repository_stats
SET commit_count = commit_count + $2, file_count = file_count + $3, logical_bytes = logical_bytes + $4,
    last_activity_at = clock_timestamp()
WHERE repo_id = $1;

-- name: note_push
-- Notes the time of the push.
UPDATE repositories SET pushed_at = clock_timestamp() WHERE id = $1;

-- name: emit_push
-- Announces the push.
SELECT emit_event('push', $1, NULL, $2, $3::jsonb);
