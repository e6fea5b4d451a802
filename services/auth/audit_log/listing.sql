-- name: plan_for_values
-- Plans the statements of this transaction for the values of their parameters.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: user_by_name
-- The account of a username in lower case.
SELECT id FROM users WHERE lower(username) = $1;

-- name: list_events
-- Up to :count events before (at, last_id), newest first, that fit each parameter that is not NULL, until their details
-- have more than :bytes. Of organisations in :refused_by and their repositories there are none.
SELECT l.* FROM (
    SELECT f.*, octet_length(f.details::text) AS size,
           sum(octet_length(f.details::text)) OVER (ORDER BY f."timestamp" DESC, f.id DESC) AS total
    FROM (
        SELECT a.id, a."timestamp", a.actor_type, a.actor_id, u.username AS actor, a.action, a.resource_type,
               a.resource_id, a.resource_name, a.repo_id, a.org_id, a.details, a.ip_address, a.user_agent, a.request_id
        FROM audit_log a LEFT JOIN users u ON u.id = a.actor_id
        WHERE (:actor_id::uuid IS NULL OR a.actor_id = :actor_id)
          AND (:repository_id::uuid IS NULL OR a.repo_id = :repository_id)
          AND (:organization_id::uuid IS NULL OR a.org_id = :organization_id)
          AND (:action::text IS NULL OR a.action = :action)
          AND (:resource_type::text IS NULL OR a.resource_type = :resource_type)
          AND (:resource_id::text IS NULL OR a.resource_id = :resource_id)
          AND (cardinality(:refused_by::uuid[]) = 0
               OR (a.org_id IS NULL OR NOT a.org_id = ANY (:refused_by))
                   AND (a.repo_id IS NULL OR coalesce((SELECT NOT r.owner_id = ANY (:refused_by)
                                                       FROM repository_identities r WHERE r.id = a.repo_id), false)))
          AND a."timestamp" BETWEEN :start AND :at
          AND (a."timestamp", a.id) < (:at, :last_id::uuid)
        ORDER BY a."timestamp" DESC, a.id DESC
        LIMIT :count
    ) f
) l
WHERE coalesce(l.total, 0) - coalesce(l.size, 0) <= :bytes
ORDER BY l."timestamp" DESC, l.id DESC;
