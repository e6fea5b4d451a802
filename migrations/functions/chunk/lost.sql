-- Chunks of which no good copy is left.

-- Up to p_count lost chunks behind p_after, by hash: of a repository, or (NULL) all. Goes by turns from a lost chunk to the
-- next one that the repository holds, and from there to the next lost one, and so takes no more steps than there are of
-- either. After p_steps it stops: the last row, which is_here not, says where it has come to. Where PostgreSQL believes
-- that few are lost, it would sort all of them at each step.
CREATE OR REPLACE FUNCTION lost_chunks(p_repo_id UUID, p_after TEXT, p_count INT, p_steps INT)
RETURNS TABLE (hash TEXT, size INT, lost_at TIMESTAMPTZ, is_here BOOLEAN)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
SET enable_bitmapscan = 'off'
SET enable_sort = 'off'
AS $$
DECLARE
    v_after TEXT := p_after;
    v_held TEXT := p_after;
    v_found INT := 0;
BEGIN
    FOR v_step IN 1..p_steps LOOP
        SELECT c.hash, c.size, c.lost_at INTO hash, size, lost_at FROM chunks c
        WHERE c.lost_at IS NOT NULL AND c.hash > v_after AND c.hash >= v_held ORDER BY c.hash LIMIT 1;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        v_after := hash;
        v_held := hash;
        IF p_repo_id IS NOT NULL THEN
            SELECT r.chunk_hash INTO v_held FROM chunk_refs r
            WHERE r.repo_id = p_repo_id AND r.chunk_hash >= v_after ORDER BY r.chunk_hash LIMIT 1;
            IF NOT FOUND THEN
                RETURN;
            END IF;
        END IF;
        IF v_held = hash THEN
            is_here := TRUE;
            RETURN NEXT;
            v_found := v_found + 1;
            IF v_found = p_count THEN
                RETURN;
            END IF;
        END IF;
    END LOOP;
    hash := v_after;
    is_here := FALSE;
    RETURN NEXT;
END;
$$;
