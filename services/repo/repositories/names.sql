-- name: drop_former_names
-- Ends former names whose time is over, and the one that a repository has again.
DELETE FROM former_repository_names f
WHERE f.kept_until <= statement_timestamp()
   OR (f.owner_type, f.owner_id, f.name_key)
      = (SELECT r.owner_type, r.owner_id, lower(r.name) FROM repositories r WHERE r.id = $1);

-- name: count_former_names
-- How many former names a repository keeps.
SELECT count(*) FROM former_repository_names WHERE repo_id = $1;

-- name: keep_former_name
-- Keeps a name for a repository that has another one now.
INSERT INTO former_repository_names (owner_type, owner_id, name_key, repo_id, kept_until)
VALUES (:owner_type, :owner_id, lower(:name::text COLLATE "C"), :repository_id, clock_timestamp() + :time);

-- name: free_former_names
-- Ends the former names of a repository.
DELETE FROM former_repository_names WHERE repo_id = $1;
