-- name: credential
-- The live credential behind a token hash.
SELECT * FROM live_credential($1, $2);

-- name: access
-- The same, and with it a repository by id, or by owner and name in lower case, with the right of the credential's
-- account on it, the right that does not count for want of a second factor, and the rule by which its organisation
-- does not let the API token in (NULL = it does, or there is no token). One row; what is not there is NULL.
SELECT c.*, r.*
FROM (VALUES (TRUE)) AS one
LEFT JOIN live_credential(:token_hash, :is_open) c ON TRUE
LEFT JOIN LATERAL (
    SELECT r.id AS repository_id, r.name, o.name AS owner, o.cell, r.archived OR r.disabled AS read_only,
           CASE WHEN r.owner_type = 'organization' THEN r.owner_id END AS organization_id,
           repository_permission(c.user_id, r.id) AS permission,
           withheld_permission(c.user_id, r.id) AS withheld, r.visibility = 'public' AS is_public,
           CASE WHEN NOT c.is_session AND r.owner_type = 'organization'
                THEN token_refusal(c.id, r.owner_id) END AS refusal
    FROM repository_identities r
    JOIN owner_identities o ON o.owner_type = r.owner_type AND o.owner_id = r.owner_id
    WHERE r.deleted_at IS NULL AND r.id = coalesce(:id, named_repository(:owner, :name))) r ON TRUE;
