-- W1 to W4: claims that have ended go, and with the last one the grace of a chunk begins. Each statement locks or
-- works, never both: its snapshot sees what the locks before it waited for.

-- name: ended_claims
-- W1. Up to $4 claims that ended by $1, repository by repository, from ($2, $3) on: their chunks, and the place of the
-- last. Locks nothing.
SELECT array_agg(DISTINCT chunk_hash) AS hashes, count(*)::int AS count,
       (array_agg(repo_id ORDER BY repo_id DESC, claimed_at DESC))[1] AS last_repo_id,
       (array_agg(claimed_at ORDER BY repo_id DESC, claimed_at DESC))[1] AS last_claimed_at
FROM (SELECT repo_id, chunk_hash, claimed_at FROM chunk_refs
      WHERE claimed_at < $1 AND (repo_id, claimed_at) >= ($2, $3)
      ORDER BY repo_id, claimed_at LIMIT $4) AS ended;

-- name: hold_chunks
-- W2. Locks those of the chunks $1 that no other transaction has locked.
SELECT hash FROM chunks WHERE hash = ANY ($1::text[]) ORDER BY hash FOR NO KEY UPDATE SKIP LOCKED;

-- name: drop_claims
-- W3. Drops the claims on the chunks $1 that ended by $2, without those that somebody is just renewing; returns how
-- many each chunk has lost. Several repositories may lose one on the same chunk. They are deleted by their places, which no plan can
-- read another way: what somebody has changed since the statement began has another one, and stays for the next run.
WITH ended AS MATERIALIZED (
    SELECT ctid AS place
    FROM chunk_refs
    WHERE chunk_hash = ANY ($1::text[]) AND claimed_at < $2
    ORDER BY chunk_hash, repo_id
    FOR UPDATE SKIP LOCKED
), dropped AS (
    DELETE FROM chunk_refs r
    WHERE r.ctid = ANY (ARRAY(SELECT place FROM ended))
    RETURNING r.chunk_hash
)
SELECT chunk_hash, count(*)::int AS count FROM dropped GROUP BY chunk_hash;

-- name: subtract_references
-- W4. Subtracts $2 references from the chunks $1. What has none left may be deleted after $3.
UPDATE chunks c
SET ref_count = c.ref_count - d.count,
    delete_after = CASE WHEN c.ref_count = d.count THEN clock_timestamp() + $3::interval END
FROM unnest($1::text[], $2::int[]) AS d (hash, count)
WHERE c.hash = ANY ($1) AND c.hash = d.hash;
