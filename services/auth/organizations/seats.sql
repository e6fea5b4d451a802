-- name: count_seats
-- The seats of an organisation (NULL = any number), its members, and its invitations that can still be accepted.
SELECT o.plan_seats,
       (SELECT count(*) FROM organization_members WHERE org_id = o.id)::int AS members,
       (SELECT count(*) FROM organization_invitations
        WHERE org_id = o.id AND accepted_at IS NULL AND declined_at IS NULL AND revoked_at IS NULL
          AND expires_at > clock_timestamp())::int AS invitations
FROM organizations o WHERE o.id = $1;
