-- name: lock_storage
-- Makes those who may bring bytes to the owner of a repository follow one another.
SELECT lock_owner_storage($1);

-- name: find_full_plan
-- The plan of the owner of a repository, if that is more than it may hold, and what it holds besides.
SELECT scope, limit_bytes, held_bytes - repository_held_bytes($1) AS held_bytes FROM storage_limits($1)
WHERE scope <> 'repository' AND held_bytes > limit_bytes;
