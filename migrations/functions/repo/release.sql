-- The release of commits that no branch or tag reaches.

-- Looks at about p_limit commits: former heads whose time was over p_age ago, and the parents of those that go. Deletes the
-- commits that nothing names any more. Returns how many it looked at (0 = there is nothing more to do), and how many went.
-- What another transaction has locked is left to the next run; so are the parents that it did not come to, as former heads.
--
-- A commit goes after its children, so nobody needs to know what reaches it: who builds on a commit locks that one, and
-- finds its parents there. Each statement locks or works. A former head is locked before the commit is looked at, so that a
-- branch that leaves it meanwhile comes after; one that leaves a parent leaves a row, which locks the commit, too.
CREATE OR REPLACE FUNCTION release_commits(p_repo_id UUID, p_age INTERVAL, p_limit BIGINT,
                                           OUT looked BIGINT, OUT released BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_until TIMESTAMPTZ := clock_timestamp() - p_age;
    v_parents TEXT[] := '{}';
    v_locked TEXT[] := '{}';
    v_is_listed BOOLEAN;
    v_heads TEXT[];
    v_held TEXT[];
    v_needless TEXT[];
BEGIN
    looked := 0;
    released := 0;
    PERFORM FROM repositories WHERE id = p_repo_id AND deleted_at IS NULL AND share_repository(id) FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WHILE looked < p_limit LOOP
        v_heads := v_parents;
        v_is_listed := cardinality(v_parents) = 0;
        IF v_is_listed THEN
            v_heads := ARRAY(
                SELECT commit_hash FROM former_heads
                WHERE repo_id = p_repo_id AND left_at <= v_until AND commit_hash <> ALL (v_locked)
                ORDER BY left_at
                LIMIT p_limit - looked
                FOR UPDATE SKIP LOCKED);
            EXIT WHEN cardinality(v_heads) = 0;
        END IF;

        v_held := ARRAY(
            SELECT hash FROM commits WHERE repo_id = p_repo_id AND hash = ANY (v_heads)
            ORDER BY hash
            FOR UPDATE SKIP LOCKED);
        IF cardinality(v_held) < cardinality(v_heads) THEN
            v_locked := v_locked || ARRAY(SELECT unnest(v_heads) EXCEPT SELECT unnest(v_held));
        END IF;

        -- OFFSET 0: each is looked up by its hash. Joined, all rows of the repository would be read.
        v_needless := ARRAY(
            SELECT h FROM unnest(v_held) AS h
            WHERE NOT EXISTS (SELECT FROM branches WHERE head_commit = h AND repo_id = p_repo_id OFFSET 0)
              AND NOT EXISTS (SELECT FROM tags WHERE repo_id = p_repo_id AND commit_hash = h OFFSET 0)
              AND NOT EXISTS (
                  SELECT FROM former_heads
                  WHERE repo_id = p_repo_id AND commit_hash = h AND left_at > v_until OFFSET 0)
              AND NOT EXISTS (
                  SELECT FROM (SELECT repo_id FROM commits WHERE parent_hashes @> ARRAY[h] OFFSET 0) k
                  WHERE k.repo_id = p_repo_id OFFSET 0));
        v_parents := ARRAY(
            SELECT DISTINCT p FROM commits c CROSS JOIN LATERAL unnest(c.parent_hashes) AS p
            WHERE c.repo_id = p_repo_id AND c.hash = ANY (v_needless));

        DELETE FROM former_heads
        WHERE repo_id = p_repo_id AND commit_hash = ANY (CASE WHEN v_is_listed THEN v_held ELSE v_needless END);
        DELETE FROM commits WHERE repo_id = p_repo_id AND hash = ANY (v_needless);

        looked := looked + cardinality(v_held);
        released := released + cardinality(v_needless);
    END LOOP;
    IF released > 0 THEN
        INSERT INTO former_heads (repo_id, commit_hash, left_at)
        SELECT p_repo_id, h, v_until
        FROM (SELECT unnest(v_parents || v_locked) AS h ORDER BY 1) AS d
        ON CONFLICT (repo_id, commit_hash) DO NOTHING;
        INSERT INTO released_histories AS r (repo_id) VALUES (p_repo_id)
        ON CONFLICT (repo_id) DO UPDATE SET released_at = clock_timestamp();
        UPDATE repository_stats SET commit_count = commit_count - released WHERE repo_id = p_repo_id;
    END IF;
END;
$$;

-- Takes p_counts[i] directories from the content p_hashes[i], and deletes the contents that none has any more; returns these,
-- and which of them are obliterated and have no chunks. The caller has locked the repository. Hashes are distinct and in order. A row that is not there, or has fewer, means that counters drifted: it raises, and the
-- caller's transaction must not be committed.
CREATE OR REPLACE FUNCTION release_assets(p_repo_id UUID, p_hashes TEXT[], p_counts INT[])
RETURNS TABLE (hash TEXT, size BIGINT, is_obliterated BOOLEAN)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_rows INT;
BEGIN
    PERFORM FROM assets a WHERE a.repo_id = p_repo_id AND a.hash = ANY (p_hashes) ORDER BY a.hash FOR UPDATE;

    UPDATE assets a SET ref_count = a.ref_count - d.n
    FROM unnest(p_hashes, p_counts) AS d (hash, n)
    WHERE a.repo_id = p_repo_id AND a.hash = d.hash;

    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'released % of % contents of repository %', v_rows, cardinality(p_hashes), p_repo_id
            USING ERRCODE = 'cardinality_violation';
    END IF;

    RETURN QUERY
    DELETE FROM assets a WHERE a.repo_id = p_repo_id AND a.hash = ANY (p_hashes) AND a.ref_count = 0
    RETURNING a.hash, a.size,
              EXISTS (SELECT FROM obliterations o WHERE o.repo_id = p_repo_id AND o.hash = a.hash);
END;
$$;
