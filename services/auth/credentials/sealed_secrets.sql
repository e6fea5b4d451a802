-- name: count_by_key
-- How many secrets of accounts each key has sealed.
SELECT substring(s.sealed FROM 1 FOR 4) AS key_id, count(*) AS secrets
FROM (SELECT mfa_secret_encrypted AS sealed FROM user_credentials WHERE mfa_secret_encrypted IS NOT NULL
      UNION ALL
      SELECT mfa_pending_encrypted FROM user_credentials WHERE mfa_pending_encrypted IS NOT NULL) s
GROUP BY key_id;

-- name: list_stale_secrets
-- Up to $3 accounts after an id ($1) whose TOTP secret was not sealed by the key $2; locks them.
SELECT user_id AS id, mfa_secret_encrypted AS sealed FROM user_credentials
WHERE mfa_secret_encrypted IS NOT NULL AND substring(mfa_secret_encrypted FROM 1 FOR 4) <> $2
  AND ($1::uuid IS NULL OR user_id > $1)
ORDER BY user_id LIMIT $3 FOR NO KEY UPDATE;

-- name: replace_secret
-- Keeps the same TOTP secret, sealed anew.
UPDATE user_credentials SET mfa_secret_encrypted = $2 WHERE user_id = $1;

-- name: list_stale_pending
-- Up to $3 accounts after an id ($1) whose unconfirmed TOTP secret was not sealed by the key $2; locks them.
SELECT user_id AS id, mfa_pending_encrypted AS sealed FROM user_credentials
WHERE mfa_pending_encrypted IS NOT NULL AND substring(mfa_pending_encrypted FROM 1 FOR 4) <> $2
  AND ($1::uuid IS NULL OR user_id > $1)
ORDER BY user_id LIMIT $3 FOR NO KEY UPDATE;

-- name: replace_pending
-- Keeps the same unconfirmed TOTP secret, sealed anew.
UPDATE user_credentials SET mfa_pending_encrypted = $2 WHERE user_id = $1;
