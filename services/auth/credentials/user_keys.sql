-- name: newest_version
-- The newest version of a user's key; NULL = there is none.
SELECT max(key_version) FROM user_keys WHERE user_id = $1;

-- name: replace_private_part
-- Gives the version with a public key another private part, as after a new passphrase; no row if there is none.
UPDATE user_keys k SET
    encrypted_private_key = :private_key,
    key_derivation_salt = :salt,
    key_derivation_params = :parameters::jsonb
FROM (SELECT max(key_version) AS version FROM user_keys WHERE user_id = :user_id) newest
WHERE k.user_id = :user_id AND k.key_version = (
    SELECT max(s.key_version) FROM user_keys s WHERE s.user_id = :user_id AND s.public_key = :public_key)
RETURNING k.*, newest.version AS newest_version;

-- name: insert_version
-- Stores a version, which is the newest.
INSERT INTO user_keys (user_id, key_version, public_key, encrypted_private_key, key_derivation_salt,
                       key_derivation_params, created_at, rotated_at)
VALUES (:user_id, :key_version, :public_key, :private_key, :salt, :parameters::jsonb, clock_timestamp(),
        clock_timestamp())
RETURNING *, key_version AS newest_version;

-- name: end_version
-- Keeps when a version ($2) was replaced.
UPDATE user_keys SET rotated_at = clock_timestamp() WHERE user_id = $1 AND key_version = $2;

-- name: same_version
-- The newest version with exactly this content.
SELECT k.*, (SELECT max(n.key_version) FROM user_keys n WHERE n.user_id = k.user_id) AS newest_version
FROM user_keys k
WHERE user_id = :user_id AND public_key = :public_key AND encrypted_private_key = :private_key
  AND key_derivation_salt = :salt AND key_derivation_params = :parameters::jsonb
ORDER BY key_version DESC
LIMIT 1;

-- name: find_key
-- A version of a user's key (0 = the newest) that is the caller's own, or an active user's who shares an organisation
-- with the caller that is open to the caller's credential.
SELECT k.*, u.username, (SELECT max(n.key_version) FROM user_keys n WHERE n.user_id = u.id) AS newest_version
FROM users u JOIN user_keys k ON k.user_id = u.id
WHERE (u.id = :user_id::uuid OR lower(u.username) = :username::text)
  AND (:key_version::int = 0 OR k.key_version = :key_version::int)
  AND (u.id = :caller_id OR (u.status = 'active' AND EXISTS (
      SELECT FROM organization_members mine JOIN organization_members theirs ON theirs.org_id = mine.org_id
      WHERE mine.user_id = :caller_id AND theirs.user_id = u.id
        AND NOT mine.org_id = ANY (:refused_by::uuid[]) AND NOT mfa_missing(:caller_id, mine.org_id))))
ORDER BY k.key_version DESC
LIMIT 1;
