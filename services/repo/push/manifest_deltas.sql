-- name: lock_bases
-- Those of some manifests that exist, with their places in chains; they cannot be deleted until the end of the
-- transaction.
SELECT hash, delta_base, delta_depth, decoded_bytes FROM manifests
WHERE repo_id = $1 AND hash = ANY ($2::text[])
ORDER BY hash FOR KEY SHARE;
