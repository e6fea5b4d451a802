-- name: list_organization_tokens
-- Up to :count live tokens of people who were given rights on repositories of an organisation, which reach these, the
-- organisation itself or its members' keys: newest first, after a position (NULL = from the beginning); all of them, or those of a decision (:approved NULL = none yet);
-- or the one that is :only. Of its repositories, those of the organisation.
SELECT t.id, t.name, t.user_id, u.username, t.scopes, t.created_at, t.expires_at, t.last_used_at, d.approved,
       token_refusal(t.id, :organization_id) AS refusal,
       ARRAY(SELECT r.id FROM repository_identities r
             WHERE r.id = ANY (t.repository_ids) AND r.owner_type = 'organization' AND r.owner_id = :organization_id
            ) AS repository_ids
FROM api_tokens t
JOIN users u ON u.id = t.user_id AND u.status = 'active'
LEFT JOIN token_decisions d ON d.token_id = t.id AND d.org_id = :organization_id
WHERE t.user_id IN (
        SELECT m.user_id FROM organization_members m WHERE m.org_id = :organization_id
        UNION
        SELECT g.user_id FROM single_grants() g JOIN repository_identities r ON r.id = g.repo_id
        WHERE r.owner_type = 'organization' AND r.owner_id = :organization_id)
  AND (:only::uuid IS NULL OR t.id = :only)
  AND (:created_at::timestamptz IS NULL OR (t.created_at, t.id) < (:created_at, :id::uuid))
  AND (:is_any::boolean OR d.approved IS NOT DISTINCT FROM :approved::boolean)
  AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
  AND (t.parent_id IS NULL OR token_is_live(t.parent_id))
  AND EXISTS (SELECT FROM unnest(t.scopes) s
              WHERE scope_is_of_repositories(s) OR starts_with(s, 'org:') OR starts_with(s, 'key:'))
  AND (t.repository_ids IS NULL
       OR EXISTS (SELECT FROM repository_identities r
                  WHERE r.id = ANY (t.repository_ids) AND r.owner_type = 'organization'
                    AND r.owner_id = :organization_id AND r.deleted_at IS NULL))
ORDER BY t.created_at DESC, t.id DESC
LIMIT :count;

-- name: decide
-- Stores what an organisation ($2) decided about a token ($1).
INSERT INTO token_decisions (token_id, org_id, approved, decided_by)
VALUES ($1, $2, $3, $4)
ON CONFLICT (token_id, org_id) DO UPDATE
SET approved = excluded.approved, decided_by = excluded.decided_by, decided_at = clock_timestamp();

-- name: awaited
-- Those of some organisations whose approval a token waits for.
SELECT o.org_id FROM unnest($2::uuid[]) AS o (org_id) WHERE token_refusal($1, o.org_id) = 'needs_approval'
ORDER BY o.org_id;
