-- name: insert_organization
-- A new organisation. Its name is claimed by a trigger: namespaces_pkey means that it is taken.
INSERT INTO organizations (name, display_name) VALUES ($1, $2) RETURNING id;

-- name: lock_user
-- Makes those who create organisations for a user follow one another; whether the account is there.
SELECT status = 'active' FROM users WHERE id = $1 FOR NO KEY UPDATE;

-- name: count_owned
-- How many organisations a user owns.
SELECT count(*) FROM organization_members WHERE user_id = $1 AND role = 'owner';

-- name: insert_owner
-- The first member of an organisation.
INSERT INTO organization_members (org_id, user_id, role, joined_at) VALUES ($1, $2, $3, clock_timestamp());

-- name: read_organization
-- An organisation ($1) with the role of a member ($2).
SELECT o.id, o.name, o.display_name, o.description, o.avatar_url, o.email, o.website, o.billing_email, o.plan,
       o.plan_seats, o.settings, o.created_at, o.updated_at, m.role,
       (SELECT count(*) FROM organization_members WHERE org_id = o.id)::int AS member_count
FROM organizations o JOIN organization_members m ON m.org_id = o.id AND m.user_id = $2
WHERE o.id = $1;

-- name: list_organizations
-- Up to :count organisations of a user after a name in lower case, but for those that do not let the token in. withheld:
-- the user has no right there for want of a second factor.
SELECT o.id, o.name, o.display_name, o.description, o.avatar_url, o.email, o.website, o.billing_email, o.plan,
       o.plan_seats, o.settings, o.created_at, o.updated_at, m.role, 0 AS member_count,
       requires_mfa(o.settings) AND NOT u.mfa_enabled AS withheld
FROM organization_members m JOIN organizations o ON o.id = m.org_id JOIN users u ON u.id = m.user_id
WHERE m.user_id = :user_id AND o.deleted_at IS NULL AND NOT o.id = ANY (:refused_by::uuid[])
  AND (:after::text IS NULL OR lower(o.name) > :after COLLATE "C")
ORDER BY lower(o.name) LIMIT :count;

-- name: update_organization
-- Changes what is not NULL, and those settings that are given. A name is claimed by a trigger.
UPDATE organizations
SET name = coalesce(:name, name),
    display_name = coalesce(:display_name, display_name),
    description = coalesce(:description, description),
    avatar_url = coalesce(:avatar_url, avatar_url),
    email = coalesce(:email, email),
    website = coalesce(:website, website),
    billing_email = coalesce(:billing_email, billing_email),
    settings = settings || :settings::jsonb
WHERE id = :id;

-- name: keep_former_name
-- Keeps a name for an organisation that has another one now.
INSERT INTO former_names (name_key, owner_type, owner_id, kept_until)
VALUES (lower($1 COLLATE "C"), 'organization', $2, clock_timestamp() + $3);

-- name: drop_former_names
-- Ends former names whose time is over, and the one that is a name again.
DELETE FROM former_names WHERE kept_until <= statement_timestamp() OR name_key = lower($1 COLLATE "C");

-- name: count_former_names
-- How many former names an organisation keeps.
SELECT count(*) FROM former_names WHERE owner_type = 'organization' AND owner_id = $1;

-- name: free_former_names
-- Ends the former names of an organisation.
DELETE FROM former_names WHERE owner_type = 'organization' AND owner_id = $1;

-- name: delete_teams
-- Ends the teams of an organisation, with their grants.
DELETE FROM teams WHERE org_id = $1;

-- name: delete_members
-- Ends all memberships.
DELETE FROM organization_members WHERE org_id = $1;

-- name: revoke_invitations
-- Ends the open invitations.
UPDATE organization_invitations SET revoked_at = clock_timestamp()
WHERE org_id = $1 AND accepted_at IS NULL AND declined_at IS NULL AND revoked_at IS NULL;

-- name: delete_organization
-- Deletes an organisation. Its row stays, under a name that nobody can have, so that its own is free.
UPDATE organizations
SET deleted_at = clock_timestamp(), name = 'deleted.' || id, display_name = '', description = NULL, avatar_url = NULL,
    email = NULL, website = NULL, billing_email = NULL, settings = '{}'
WHERE id = $1;

-- name: owned_repositories
-- Up to $3 repositories of an owner, those too that can be brought back.
SELECT name FROM repository_identities WHERE owner_type = $1 AND owner_id = $2 ORDER BY lower(name) LIMIT $3;
