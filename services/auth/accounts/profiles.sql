-- name: read_user
-- An account as its owner sees it, with the address of a change that is under way.
SELECT u.*, (SELECT t.context ->> 'email' FROM one_time_tokens t
             WHERE t.user_id = u.id AND t.purpose = 'change_email' AND t.used_at IS NULL
               AND t.expires_at > clock_timestamp()
             LIMIT 1) AS pending_email
FROM users u WHERE u.id = $1 AND u.status <> 'deleted';

-- name: find_profile
-- An account by id ($1) or username in lower case ($2), if others see it.
SELECT id, username, name, avatar_url, created_at
FROM users WHERE (id = $1::uuid OR lower(username) = $2) AND status IN ('active', 'suspended');

-- name: update_profile
-- Changes what is not NULL: preferences are replaced (:preferences), or some are set and some removed. Returns how many
-- there are.
UPDATE users
SET name = coalesce(:name, name),
    avatar_url = coalesce(:avatar_url, avatar_url),
    preferences = (coalesce(:preferences::jsonb, preferences) - :removed::text[]) || :set::jsonb
WHERE id = :id
RETURNING (SELECT count(*) FROM jsonb_object_keys(preferences));
