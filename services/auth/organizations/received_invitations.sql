-- name: list_received
-- Up to $4 open invitations of the verified address of a user ($1), newest first, before ($2, $3).
SELECT i.id, i.org_id, o.name AS organization, i.email, i.role, w.username AS inviter, i.created_at, i.expires_at
FROM users u
JOIN organization_invitations i ON i.email_key = u.email_key
JOIN organizations o ON o.id = i.org_id
JOIN users w ON w.id = i.invited_by
WHERE u.id = $1 AND u.email_verified
  AND i.accepted_at IS NULL AND i.declined_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
  AND ($2::text IS NULL OR (i.created_at, i.id) < ($2::timestamptz, $3::text::uuid))
ORDER BY i.created_at DESC, i.id DESC LIMIT $4;

-- name: find_received
-- An invitation of the address of a user ($1): by the hash of its token ($2), or, if the address is verified, by id ($3).
SELECT i.id, i.org_id, o.name AS organization, i.email, i.role, i.invited_by, w.username AS inviter, i.accepted_by,
       EXISTS (SELECT FROM organization_members m WHERE m.org_id = i.org_id AND m.user_id = u.id) AS is_member,
       CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN i.declined_at IS NOT NULL THEN 'declined'
            WHEN i.revoked_at IS NOT NULL THEN 'revoked' WHEN i.expires_at <= clock_timestamp() THEN 'expired'
            ELSE 'open' END AS state
FROM users u
JOIN organization_invitations i ON i.email_key = u.email_key
JOIN organizations o ON o.id = i.org_id
JOIN users w ON w.id = i.invited_by
WHERE u.id = $1 AND (i.token_hash = $2 OR (i.id = $3 AND u.email_verified));

-- name: hold_account
-- Keeps an account from being deleted until the transaction ends; false if it is not there.
SELECT hold_owner('user', $1);

-- name: insert_member
-- A new member.
INSERT INTO organization_members (org_id, user_id, role, invited_by, joined_at)
VALUES (:organization_id, :user_id, :role, :invited_by, clock_timestamp());

-- name: accept
-- Ends an invitation: a user has accepted it.
UPDATE organization_invitations SET accepted_at = clock_timestamp(), accepted_by = $2 WHERE id = $1;

-- name: decline
-- Ends an invitation: it was declined.
UPDATE organization_invitations SET declined_at = clock_timestamp() WHERE id = $1;
