-- name: replace_open
-- Ends the open invitation of an address ($2, as fold_login spells it), if there is one.
UPDATE organization_invitations SET revoked_at = clock_timestamp()
WHERE org_id = $1 AND email_key = $2 AND accepted_at IS NULL AND declined_at IS NULL AND revoked_at IS NULL;

-- name: insert_invitation
-- A new invitation.
INSERT INTO organization_invitations (org_id, email, email_folded, role, token_hash, invited_by, created_at, expires_at)
VALUES (:organization_id, :email, :email_folded, :role, :token_hash, :invited_by, clock_timestamp(),
        clock_timestamp() + :life)
RETURNING id, expires_at;

-- name: count_sent
-- How many invitations a user has sent within a day, counted up to a number ($2).
SELECT count(*)::int FROM (SELECT FROM organization_invitations
                           WHERE invited_by = $1 AND created_at > now() - INTERVAL '1 day' LIMIT $2) sent;

-- name: is_member_address
-- Whether a member of an organisation has an address, as fold_login spells it.
SELECT EXISTS (SELECT FROM organization_members m JOIN users u ON u.id = m.user_id
               WHERE m.org_id = $1 AND u.email_key = $2);

-- name: revoke
-- Ends an invitation.
UPDATE organization_invitations SET revoked_at = clock_timestamp() WHERE id = $1;

-- name: find_invitation
-- An invitation ($1) of an organisation ($2), whatever its state.
SELECT i.id, i.org_id, o.name AS organization, i.email, i.role, u.username AS inviter, i.created_at, i.expires_at,
       CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN i.declined_at IS NOT NULL THEN 'declined'
            WHEN i.revoked_at IS NOT NULL THEN 'revoked' WHEN i.expires_at <= clock_timestamp() THEN 'expired'
            ELSE 'open' END AS state
FROM organization_invitations i
JOIN organizations o ON o.id = i.org_id
JOIN users u ON u.id = i.invited_by
WHERE i.id = $1 AND i.org_id = $2;

-- name: list_invitations
-- Up to $4 open invitations of an organisation ($1), expired ones too, newest first, before ($2, $3).
SELECT i.id, i.org_id, o.name AS organization, i.email, i.role, u.username AS inviter, i.created_at, i.expires_at
FROM organization_invitations i
JOIN organizations o ON o.id = i.org_id
JOIN users u ON u.id = i.invited_by
WHERE i.org_id = $1 AND i.accepted_at IS NULL AND i.declined_at IS NULL AND i.revoked_at IS NULL
  AND ($2::text IS NULL OR (i.created_at, i.id) < ($2::timestamptz, $3::text::uuid))
ORDER BY i.created_at DESC, i.id DESC LIMIT $4;
