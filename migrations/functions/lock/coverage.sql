-- Which locks cover which paths. The lock on a directory, `dir/`, covers everything below it.
--
-- Here and in the other files on locks, functions say how they are executed: LATERAL (... OFFSET 0) is
-- looked up row by row, in the order written; there is no other way to join, and a table is read through
-- an index. `(...) IS TRUE` is no condition for an index. Where statistics are missing or old (all locks
-- of yesterday are gone), or a plan was kept from a time with few locks, the planner would read all locks
-- of the repository, once per path at worst. For one lock, planning takes longer than everything else,
-- and the plan that serves any number of locks is the right one: hence force_generic_plan.

-- The directory that contains a file or directory: 'a/b/' for 'a/b/c' and 'a/b/c/', '' at the top.
CREATE OR REPLACE FUNCTION lock_parent(p_path TEXT)
RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE strpos(rtrim(p_path, '/'), '/') WHEN 0 THEN '' ELSE
        left(rtrim(p_path, '/'), 1 - strpos(reverse(rtrim(p_path, '/')), '/')) END
$$;

-- A directory and all directories above it: 'a/', 'a/b/' and 'a/b/c/' for 'a/b/c/'. Each is made of the one above:
-- paths may be deep.
CREATE OR REPLACE FUNCTION lock_ancestry(p_directory TEXT)
RETURNS SETOF TEXT
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 5
AS $$
DECLARE
    v_part TEXT;
    v_above TEXT := '';
BEGIN
    FOREACH v_part IN ARRAY string_to_array(rtrim(p_directory, '/'), '/') LOOP
        v_above := v_above || v_part || '/';
        RETURN NEXT v_above;
    END LOOP;
END;
$$;

-- The live locks that cover any of the paths: on the path itself, or on a directory above it. One index
-- lookup per path and per directory above, each directory once.
CREATE OR REPLACE FUNCTION locks_over(p_repository_id UUID, p_paths TEXT[], p_now TIMESTAMPTZ)
RETURNS TABLE (path TEXT, lock_id UUID)
LANGUAGE sql STABLE ROWS 10
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
SET enable_hashjoin = 'off'
SET enable_mergejoin = 'off'
AS $$
    SELECT asked.path, l.id
    FROM unnest(p_paths) AS asked (path)
    CROSS JOIN LATERAL (
        SELECT k.id FROM locks k
        WHERE k.repo_id = p_repository_id AND k.path = asked.path
          AND (k.locked_at <= p_now AND k.expires_at > p_now) IS TRUE OFFSET 0) l
    UNION ALL
    SELECT asked.path, l.id
    FROM (SELECT lock_parent(p.path) AS directory, array_agg(p.path) AS paths
          FROM unnest(p_paths) AS p (path) GROUP BY 1) AS inside
    CROSS JOIN LATERAL (SELECT a.path FROM lock_ancestry(inside.directory) AS a (path) OFFSET 0) above
    CROSS JOIN LATERAL (
        SELECT k.id FROM locks k
        WHERE k.repo_id = p_repository_id AND k.path = above.path
          AND (k.locked_at <= p_now AND k.expires_at > p_now) IS TRUE OFFSET 0) l
    CROSS JOIN LATERAL unnest(inside.paths) AS asked (path)
$$;

-- The live locks of others below any of the directories that exclude one of p_lock_type on it, but for p_replaced:
-- for each directory those on the first path. Directories in each other read what is below them once: of one that
-- comes behind, it is known what the search for the one before has passed by.
CREATE OR REPLACE FUNCTION locks_below(p_repository_id UUID, p_directories TEXT[], p_user_id UUID, p_lock_type TEXT,
                                       p_now TIMESTAMPTZ, p_replaced UUID[])
RETURNS TABLE (directory TEXT, lock_id UUID)
LANGUAGE plpgsql STABLE ROWS 10
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
SET enable_bitmapscan = 'off'
SET enable_sort = 'off'
AS $$
DECLARE
    v_directory TEXT;
    -- No lock is met from the last search on up to this path; v_met is the lock on it, if there is one.
    v_free_until TEXT COLLATE "C" := '';
    v_met TEXT COLLATE "C";
BEGIN
    FOR v_directory IN SELECT d.path FROM unnest(p_directories) AS d (path) ORDER BY d.path COLLATE "C" LOOP
        IF v_directory >= v_free_until THEN
            v_free_until := left(v_directory, -1) || '0';
            SELECT k.path INTO v_met FROM locks k
            WHERE k.repo_id = p_repository_id AND k.path > v_directory AND k.path < v_free_until
              AND (k.expires_at > p_now AND k.owner_id <> p_user_id AND k.id <> ALL (p_replaced)
                   AND lock_types_conflict(k.lock_type, p_lock_type)) IS TRUE
            ORDER BY k.path LIMIT 1;
            v_free_until := coalesce(v_met, v_free_until);
        END IF;
        IF starts_with(v_met, v_directory) THEN
            RETURN QUERY
            SELECT v_directory, k.id FROM locks k
            WHERE k.repo_id = p_repository_id AND k.path = v_met
              AND (k.expires_at > p_now AND k.owner_id <> p_user_id AND k.id <> ALL (p_replaced)
                   AND lock_types_conflict(k.lock_type, p_lock_type)) IS TRUE;
        END IF;
    END LOOP;
END;
$$;
