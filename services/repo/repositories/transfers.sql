-- name: get_transfer
-- The open request about a repository: who made it still administers what the owner has.
SELECT t.repo_id, o.name AS owner, r.name, t.owner_id AS new_owner_id, n.name AS new_owner, u.username AS requester,
       t.created_at, t.expires_at
FROM repository_transfers t
JOIN repositories r ON r.id = t.repo_id
JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
JOIN owner_identities n ON n.owner_type = t.owner_type AND n.owner_id = t.owner_id
JOIN user_identities u ON u.id = t.requested_by
WHERE t.repo_id = $1 AND t.expires_at > clock_timestamp()
  AND owner_permission(t.requested_by, r.owner_type, r.owner_id) = 3;

-- name: find_request
-- The new owner of an open request, and what a user ($2) may do with all that this owner has, and the present one.
SELECT t.owner_type, t.owner_id, n.name, n.cell, owner_permission($2, t.owner_type, t.owner_id) AS permission,
       r.owner_id AS own_id, owner_permission($2, r.owner_type, r.owner_id) AS own
FROM repository_transfers t
JOIN repositories r ON r.id = t.repo_id
JOIN owner_identities n ON n.owner_type = t.owner_type AND n.owner_id = t.owner_id
WHERE t.repo_id = $1 AND t.expires_at > clock_timestamp() AND r.deleted_at IS NULL
  AND owner_permission(t.requested_by, r.owner_type, r.owner_id) = 3;

-- name: lock_new_owner
-- Makes requests to one owner follow one another.
SELECT pg_advisory_xact_lock(advisory_key('transfers', $1));

-- name: delete_expired
-- Deletes requests that nobody has answered in time.
DELETE FROM repository_transfers WHERE expires_at <= clock_timestamp();

-- name: count_transfers
-- How many requests an owner has to answer.
SELECT count(*) FROM repository_transfers WHERE owner_type = $1 AND owner_id = $2;

-- name: insert_transfer
-- A request, instead of an earlier one.
INSERT INTO repository_transfers (repo_id, owner_type, owner_id, requested_by, expires_at)
VALUES (:repository_id, :owner_type, :owner_id, :user_id, clock_timestamp() + :time)
ON CONFLICT (repo_id) DO UPDATE
SET owner_type = excluded.owner_type, owner_id = excluded.owner_id, requested_by = excluded.requested_by,
    created_at = excluded.created_at, expires_at = excluded.expires_at;

-- name: delete_transfer
-- Ends the request about a repository.
DELETE FROM repository_transfers WHERE repo_id = $1;

-- name: list_transfers
-- Up to $4 open requests to an owner and from it, after a repository ($3).
SELECT t.repo_id, o.name AS owner, r.name, n.name AS new_owner, u.username AS requester, t.created_at, t.expires_at
FROM (SELECT * FROM repository_transfers WHERE owner_type = $1 AND owner_id = $2
      UNION
      SELECT s.* FROM repository_transfers s JOIN repositories b ON b.id = s.repo_id
      WHERE b.owner_type = $1 AND b.owner_id = $2) t
JOIN repositories r ON r.id = t.repo_id AND r.deleted_at IS NULL
JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
JOIN owner_identities n ON n.owner_type = t.owner_type AND n.owner_id = t.owner_id
JOIN user_identities u ON u.id = t.requested_by
WHERE t.expires_at > clock_timestamp() AND t.repo_id > $3
  AND owner_permission(t.requested_by, r.owner_type, r.owner_id) = 3
ORDER BY t.repo_id
LIMIT $4;

-- name: set_owner
-- Gives a repository to another owner, under a name. A unique violation means that the name is taken.
UPDATE repositories SET owner_type = $2, owner_id = $3, name = $4 WHERE id = $1;

-- name: delete_team_grants
-- Ends the rights of teams: they belong to the owner before.
DELETE FROM team_repositories WHERE repo_id = $1;

-- name: delete_owner_grant
-- Ends the right that the new owner was given by name.
DELETE FROM repository_collaborators c USING repositories r
WHERE c.repo_id = $1 AND r.id = $1 AND r.owner_type = 'user' AND c.user_id = r.owner_id;
