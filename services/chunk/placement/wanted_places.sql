-- Where chunks lie, against where repositories want them. Regions that a repository without a policy wants: any.

-- name: list_repositories
-- The repositories that have a policy, or (not NULL) the one $1, if it has.
SELECT repo_id FROM repository_regions WHERE $1::uuid IS NULL OR repo_id = $1 ORDER BY repo_id;

-- name: queue_page
-- Looks at up to :count chunks of a repository behind :hash, and queues copies of those that are not in a region where it wants them;
-- or of :all of them, if the repository must not see which ones another has brought there. Those that lie in one pack
-- are due at one moment, within the second before :due_at: they are read together. Returns the last chunk (NULL = there was none), and
-- how many copies were queued.
WITH page AS MATERIALIZED (
    SELECT chunk_hash FROM chunk_refs WHERE repo_id = :repository_id AND chunk_hash > :hash ORDER BY chunk_hash LIMIT :count
), queued AS (
    INSERT INTO due_copies (region, chunk_hash, repo_id, due_at)
    SELECT w.region, c.hash, :repository_id, :due_at::timestamptz - ('x' || left(md5(c.pack_key), 4))::bit(16)::int * INTERVAL '15 microseconds'
    FROM page CROSS JOIN LATERAL (SELECT * FROM chunks WHERE hash = page.chunk_hash OFFSET 0) c
    CROSS JOIN (SELECT unnest(p.regions) AS region FROM repository_regions p WHERE p.repo_id = :repository_id) AS w
    WHERE :all::boolean
       OR (split_part(c.storage_bucket, '.', 1) <> w.region
           AND NOT EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = c.hash AND l.region = w.region OFFSET 0))
    ORDER BY w.region, c.hash
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT max(chunk_hash) FROM page) AS last, (SELECT count(*)::int FROM queued) AS count;

-- name: list_copied_chunks
-- Up to $3 chunks behind $2 that have copies: of repository $1, or (NULL) of all. Those of a repository are looked for among its
-- own chunks, in their order: joined, each page read all of them.
SELECT chunk_hash FROM (
    (SELECT DISTINCT l.chunk_hash FROM chunk_locations l
     WHERE $1::uuid IS NULL AND l.chunk_hash > $2
     ORDER BY l.chunk_hash LIMIT $3)
    UNION ALL
    (SELECT r.chunk_hash FROM chunk_refs r
     WHERE r.repo_id = $1 AND r.chunk_hash > $2
       AND EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = r.chunk_hash OFFSET 0)
     ORDER BY r.chunk_hash LIMIT $3)) AS copied
ORDER BY chunk_hash;

-- name: hold_chunks
-- Locks those of the chunks $1 that no other transaction has locked, and that are not lost: of these any copy may be the last.
SELECT hash FROM chunks WHERE hash = ANY ($1::text[]) AND lost_at IS NULL ORDER BY hash FOR NO KEY UPDATE SKIP LOCKED;

-- name: kept_regions
-- Those of the chunks $1 that have a copy where no repository wants it, and the regions in which they stay without it: where one
-- wants them, or at home.
WITH placed AS (
    SELECT hash, split_part(storage_bucket, '.', 1) AS region, TRUE AS is_home FROM chunks WHERE hash = ANY ($1::text[])
    UNION ALL
    SELECT chunk_hash, region, FALSE FROM chunk_locations WHERE chunk_hash = ANY ($1::text[])
), wanted AS (
    SELECT DISTINCT r.chunk_hash AS hash, w.region
    FROM chunk_refs r JOIN repository_regions p ON p.repo_id = r.repo_id CROSS JOIN LATERAL unnest(p.regions) AS w (region)
    WHERE r.chunk_hash = ANY ($1::text[])
)
SELECT p.hash, coalesce(array_agg(p.region) FILTER (WHERE w.region IS NOT NULL),
                        array_agg(p.region) FILTER (WHERE p.is_home)) AS regions
FROM placed p LEFT JOIN wanted w ON w.hash = p.hash AND w.region = p.region
GROUP BY p.hash
HAVING count(*) > greatest(count(w.region), 1);

-- name: move_homes
-- Of those of the chunks $1, which are locked, whose home copy lies where no repository wants it, while another copy lies where
-- one does: makes that one the home copy. Returns the packs that lost a row that way, and how many. The row of the copy goes, so the
-- number of rows that name its pack stays. It goes chunk by chunk, whatever the planner believes: joins of what is wanted with all
-- copies once took a minute for 2,000 chunks, which were locked meanwhile.
WITH better AS MATERIALIZED (
    SELECT c.hash, c.pack_key AS old_key, n.region, n.bucket, n.storage_key
    FROM unnest($1::text[]) AS h (hash)
    CROSS JOIN LATERAL (SELECT * FROM chunks WHERE hash = h.hash OFFSET 0) c
    CROSS JOIN LATERAL (
        SELECT l.region, l.bucket, l.storage_key FROM chunk_locations l
        WHERE l.chunk_hash = c.hash
          AND EXISTS (SELECT FROM chunk_refs r JOIN repository_regions p ON p.repo_id = r.repo_id
                      WHERE r.chunk_hash = l.chunk_hash AND l.region = ANY (p.regions) OFFSET 0)
        ORDER BY l.replicated_at
        LIMIT 1
    ) AS n
    WHERE NOT EXISTS (SELECT FROM chunk_refs r JOIN repository_regions p ON p.repo_id = r.repo_id
                      WHERE r.chunk_hash = c.hash AND split_part(c.storage_bucket, '.', 1) = ANY (p.regions) OFFSET 0)
), gone AS (
    DELETE FROM chunk_locations l USING better b WHERE l.chunk_hash = b.hash AND l.region = b.region
), moved AS (
    UPDATE chunks c SET storage_bucket = b.bucket, storage_key = b.storage_key, storage_class = 'standard', archived_at = NULL
    FROM better b WHERE c.hash = b.hash
    RETURNING b.old_key
)
SELECT old_key AS pack_key, count(*)::int AS count FROM moved GROUP BY old_key;

-- name: drop_copies
-- Drops those copies of the chunks $1, which are locked, that no repository wants where they are; returns their packs, and
-- how many each had.
WITH dropped AS (
    DELETE FROM chunk_locations l
    WHERE l.chunk_hash = ANY ($1::text[])
      AND EXISTS (SELECT FROM chunk_refs r WHERE r.chunk_hash = l.chunk_hash)
      AND NOT EXISTS (SELECT FROM chunk_refs r JOIN repository_regions p ON p.repo_id = r.repo_id
                      WHERE r.chunk_hash = l.chunk_hash AND l.region = ANY (p.regions))
    RETURNING l.pack_key
)
SELECT pack_key, count(*)::int AS count FROM dropped GROUP BY pack_key;
