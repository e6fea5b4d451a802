-- name: insert_repository
-- A new repository. A unique violation means that the name is taken.
INSERT INTO repositories (name, description, owner_type, owner_id, visibility, default_branch,
                          storage_bucket, storage_region)
VALUES (:name, :description, :owner_type, :owner_id, :visibility, :default_branch, :region, :region)
RETURNING id;

-- name: insert_stats
-- The counters of a new repository, all zero.
INSERT INTO repository_stats (repo_id) VALUES ($1);
