-- name: lock_alone
-- Waits for all that moves branches and tags, and keeps others from it.
SELECT FROM repositories WHERE id = $1 AND close_repository(id) FOR UPDATE;

-- name: lock_repository
-- The repository's rules for changes; it stays there until the end of the transaction.
SELECT r.archived OR r.disabled AS read_only, r.has_obliterations,
       s.require_lock_for_edit, s.max_file_size_bytes, s.allowed_extensions, s.portable_names, s.lock_patterns,
       s.min_regions, r.owner_type, r.owner_id,
       coalesce((SELECT o.name FROM owner_identities o
                 WHERE o.owner_type = r.owner_type AND o.owner_id = r.owner_id), '') AS owner
FROM repositories r JOIN repository_settings s ON s.repo_id = r.id
WHERE r.id = $1 AND r.deleted_at IS NULL AND share_repository(r.id)
FOR KEY SHARE OF r;

-- name: obliterated_contents
-- The hashes of the contents that may not come into the repository, packed. Who obliterates one has the repository for
-- himself meanwhile, so a statement after the lock sees them all.
SELECT string_agg(decode(hash, 'hex'), ''::bytea) FROM obliterations WHERE repo_id = $1;

-- name: why_obliterated
-- Why a content ($2) may not come into the repository.
SELECT reason FROM obliterations WHERE repo_id = $1 AND hash = $2;
