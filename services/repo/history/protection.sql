-- name: find_teams
-- Those of the teams $3 that a user is in, if their organisation owns the repository $1.
SELECT m.team_id
FROM repositories r
JOIN teams t ON t.org_id = r.owner_id
JOIN team_members m ON m.team_id = t.id
WHERE r.id = $1 AND r.owner_type = 'organization' AND m.user_id = $2 AND t.id = ANY ($3::uuid[]);

-- name: find_unsigned
-- One of the commits $2 that have no good signature.
SELECT hash FROM commits
WHERE repo_id = $1 AND hash = ANY ($2::text[]) AND signature_verified IS NOT TRUE
ORDER BY generation LIMIT 1;

-- name: take_time
-- Lets the transaction idle while a thread holds a million paths against patterns.
SELECT set_config('idle_in_transaction_session_timeout', '5min', true);
