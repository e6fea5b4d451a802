-- name: lock_inbox
-- Locks the inbox of a user, so that one follows one branch after the other.
INSERT INTO inboxes AS i (user_id) VALUES ($1) ON CONFLICT (user_id) DO UPDATE SET last_number = i.last_number;

-- name: follow
-- Makes a user follow a branch.
INSERT INTO branch_follows (user_id, repo_id, branch) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: count_followed
-- How many branches a user follows.
SELECT count(*) FROM branch_follows WHERE user_id = $1;

-- name: unfollow
-- Ends following a branch.
DELETE FROM branch_follows
WHERE user_id = :user_id AND branch = :branch AND repo_id = coalesce(
    :repository_id::uuid, named_repository(:owner, :name));

-- name: rename_followed
-- Makes those who follow the branch $2 follow $3 instead.
WITH left_behind AS (
    DELETE FROM branch_follows WHERE repo_id = $1 AND branch = $2 RETURNING user_id, created_at
)
INSERT INTO branch_follows (user_id, repo_id, branch, created_at)
SELECT user_id, $1, $3, created_at FROM left_behind ON CONFLICT DO NOTHING;

-- name: list_followed
-- Up to :count branches that a user follows, in repositories that the user may read, after a position. Of organisations
-- that do not let the token in, those that everybody may read.
SELECT f.repo_id, o.name AS owner, r.name, f.branch, f.created_at, o.name_key, lower(r.name) AS repository_key
FROM branch_follows f
JOIN repository_identities r ON r.id = f.repo_id AND r.deleted_at IS NULL
JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
WHERE f.user_id = :user_id AND repository_permission(f.user_id, f.repo_id) > 0
  AND (r.visibility = 'public' OR NOT r.owner_id = ANY (:refused_by::uuid[]))
  AND (:owner::text IS NULL OR (o.name_key, lower(r.name), f.branch) > (:owner, :name::text, :branch::text))
ORDER BY o.name_key, lower(r.name), f.branch LIMIT :count;
