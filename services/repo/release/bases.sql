-- name: list_deltas
-- The manifests that are deltas to one ($2), the smallest first.
SELECT hash FROM manifests WHERE delta_base = $2 AND repo_id = $1 ORDER BY decoded_bytes, hash;

-- name: hold_delta
-- Locks a manifest ($2) if it is a delta to $3 and no other transaction has locked it.
SELECT hash FROM manifests WHERE repo_id = $1 AND hash = $2 AND delta_base = $3 FOR UPDATE SKIP LOCKED;

-- name: store_form
-- Stores a manifest that is locked in another form. What are deltas to it need its bytes alone.
UPDATE manifests
SET content = :content, delta_base = :base, delta_depth = :depth, decoded_bytes = :decoded
WHERE repo_id = :repository_id AND hash = :hash;
