-- name: invited_user
-- The user whose verified address an open invitation is for.
SELECT u.id
FROM organization_invitations i JOIN users u ON u.email_key = i.email_key
WHERE i.id = $1 AND u.email_verified AND i.expires_at > now()
  AND i.accepted_at IS NULL AND i.declined_at IS NULL AND i.revoked_at IS NULL;
