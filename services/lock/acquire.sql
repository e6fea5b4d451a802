-- name: judge
-- What bears on the asked paths ($2; $6 = those of them that are directories) at $5. For each path at most
-- one row: the lock on it that user $3 holds already in mode $4, else the first that stands in the way.
-- One's own locks above and below are not in the way, nor are those ($7) whose place shall be taken.
WITH near AS (
    SELECT over.path AS asked, l.*
    FROM locks_over($1, $2, $5) over JOIN locks l ON l.id = over.lock_id
    UNION ALL
    SELECT directory.path, l.*
    FROM unnest($6::text[]) AS directory (path)
    JOIN locks l ON l.repo_id = $1 AND l.path > directory.path AND l.path < left(directory.path, -1) || '0'
    WHERE l.expires_at > $5 AND l.owner_id <> $3
), judged AS (
    SELECT n.*, n.path = n.asked AND n.owner_id = $3 AND n.lock_type = $4 AS already_held
    FROM near n
    WHERE n.path = n.asked OR n.owner_id <> $3
)
SELECT DISTINCT ON (j.asked) j.asked, j.already_held, u.username AS owner,
       j.id, j.path, j.owner_id, j.lock_type, j.reason, j.fence, j.locked_at, j.expires_at,
       j.release_on_push, j.locked_at_commit
FROM judged j JOIN user_identities u ON u.id = j.owner_id
WHERE j.already_held
   OR 'advisory' NOT IN ($4, j.lock_type) AND 'exclusive' IN ($4, j.lock_type) AND j.id <> ALL ($7::uuid[])
ORDER BY j.asked, j.already_held DESC, j.path, j.fence;

-- name: grant_locks
-- Grants locks on the paths $2 at $3 until $4, in mode $5 to user $6; user $7 did it.
SELECT lock_id, path, fence FROM grant_locks($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
