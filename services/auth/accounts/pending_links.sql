-- name: is_known
-- Whether an account or an invitation has a name ($1).
SELECT EXISTS (SELECT FROM users WHERE lower(username) = lower($1))
    OR EXISTS (SELECT FROM organization_invitations WHERE lower(email) = lower($1));

-- name: list_mails
-- The newest mails with one of some templates ($1), of the last week.
SELECT payload::text FROM jobs
WHERE job_type = 'send_mail' AND payload ->> 'template' = ANY ($1::text[]) AND created_at > now() - interval '7 days'
ORDER BY created_at DESC LIMIT 1000;

-- name: find_live
-- What tokens (their hashes) are good for, and whose: those that are good still, the oldest first.
SELECT t.token_hash, t.purpose, 'user' AS resource_type, u.id AS resource_id, u.username AS name, t.expires_at
FROM one_time_tokens t
CROSS JOIN LATERAL (SELECT id, username FROM users WHERE users.id = t.user_id OFFSET 0) u
WHERE t.token_hash = ANY ($1::text[]) AND t.used_at IS NULL AND t.expires_at > clock_timestamp()
UNION ALL
SELECT i.token_hash, 'invitation', 'invitation', i.id, i.email, i.expires_at
FROM organization_invitations i
WHERE i.token_hash = ANY ($1::text[]) AND i.accepted_at IS NULL AND i.declined_at IS NULL AND i.revoked_at IS NULL
  AND i.expires_at > clock_timestamp()
ORDER BY expires_at;
