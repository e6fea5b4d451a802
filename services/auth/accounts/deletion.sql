-- name: list_memberships
-- The organisations that a user belongs to; is_last_owner: no other owner could log in.
SELECT o.id, o.name, m.role = 'owner' AND NOT EXISTS (
           SELECT FROM organization_members x JOIN users u ON u.id = x.user_id
           WHERE x.org_id = o.id AND x.user_id <> $1 AND x.role = 'owner' AND u.status = 'active') AS is_last_owner
FROM organization_members m JOIN organizations o ON o.id = m.org_id
WHERE m.user_id = $1 AND o.deleted_at IS NULL
ORDER BY o.id;

-- name: lock_account
-- Makes changes of an account follow one another; whom the mail about its end goes to.
SELECT id, username, email, email_key FROM users WHERE id = $1 FOR NO KEY UPDATE;

-- name: anonymise
-- Deletes an account. Its row stays, under a name and an address that nobody can have, so that its own are free.
UPDATE users
SET status = 'deleted', deleted_at = clock_timestamp(), status_reason = NULL, status_until = NULL,
    status_before = NULL, username = 'deleted.' || id, email = 'deleted.' || id, email_folded = NULL,
    email_verified = false, name = 'Deleted account', avatar_url = NULL, preferences = '{}', mfa_enabled = false
WHERE id = $1;

-- name: delete_sessions
-- Ends the sessions of an account, without a trace of where they were.
DELETE FROM sessions WHERE user_id = $1;

-- name: delete_api_tokens
-- Ends the API tokens of an account.
DELETE FROM api_tokens WHERE user_id = $1;

-- name: delete_ssh_keys
-- Deletes the SSH keys of an account.
DELETE FROM ssh_keys WHERE user_id = $1;

-- name: delete_user_keys
-- Deletes the encryption keys of an account.
DELETE FROM user_keys WHERE user_id = $1;

-- name: delete_credentials
-- Deletes the password and the second factor of an account.
DELETE FROM user_credentials WHERE user_id = $1;

-- name: delete_one_time_tokens
-- Deletes the links and challenges of an account.
DELETE FROM one_time_tokens WHERE user_id = $1;

-- name: delete_notifications
-- Deletes what an account was told.
DELETE FROM notifications WHERE user_id = $1;

-- name: delete_notification_preferences
-- Deletes what an account gets by mail.
DELETE FROM notification_preferences WHERE user_id = $1;

-- name: delete_inbox
-- Deletes the inbox of an account.
DELETE FROM inboxes WHERE user_id = $1;

-- name: delete_follows
-- Deletes which branches an account follows.
DELETE FROM branch_follows WHERE user_id = $1;

-- name: revoke_sent_invitations
-- Ends the open invitations that an account has sent.
UPDATE organization_invitations SET revoked_at = clock_timestamp()
WHERE invited_by = $1 AND accepted_at IS NULL AND declined_at IS NULL AND revoked_at IS NULL;
