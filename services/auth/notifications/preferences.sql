-- name: preferences
-- The preferences of a user, if there are any.
SELECT * FROM notification_preferences WHERE user_id = $1;

-- name: create_preferences
-- Gives users the default preferences who have none.
INSERT INTO notification_preferences (user_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING;

-- name: update_preferences
-- Changes those preferences of a user that are not NULL.
UPDATE notification_preferences p
SET email_on_mention = coalesce(:email_on_mention, p.email_on_mention),
    email_on_push = coalesce(:email_on_push, p.email_on_push),
    email_on_lock_expiry = coalesce(:email_on_lock_expiry, p.email_on_lock_expiry),
    email_on_lock_loss = coalesce(:email_on_lock_loss, p.email_on_lock_loss),
    email_on_webhook_disabled = coalesce(:email_on_webhook_disabled, p.email_on_webhook_disabled),
    email_on_security = coalesce(:email_on_security, p.email_on_security),
    email_digest = coalesce(:digest, p.email_digest)
WHERE p.user_id = :user_id
RETURNING p.*;
