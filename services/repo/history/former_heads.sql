-- name: remember_heads
-- Notes that no branch or tag is at some commits ($2, in order) any more.
INSERT INTO former_heads (repo_id, commit_hash) SELECT $1, h FROM unnest($2::text[]) AS h
ON CONFLICT (repo_id, commit_hash) DO UPDATE SET left_at = clock_timestamp();
