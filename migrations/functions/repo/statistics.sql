-- The counters of a repository.

-- Recounts one repository from its rows. Pushes add their differences to the same row, so it is locked
-- first and counted in the next statement, which sees all that the lock had to wait for.
CREATE OR REPLACE FUNCTION update_repo_stats(p_repo_id UUID)
RETURNS VOID
LANGUAGE plpgsql
AS $$
DECLARE
    v_logical BIGINT;
    v_chunks BIGINT;
    v_stored BIGINT;
BEGIN
    INSERT INTO repository_stats (repo_id) VALUES (p_repo_id) ON CONFLICT (repo_id) DO NOTHING;
    PERFORM FROM repository_stats WHERE repo_id = p_repo_id FOR UPDATE;

    SELECT coalesce(sum(size), 0) INTO v_logical FROM assets a
    WHERE repo_id = p_repo_id
      AND NOT EXISTS (SELECT FROM obliterations o WHERE o.repo_id = a.repo_id AND o.hash = a.hash);
    SELECT chunk_count, storage_bytes INTO v_chunks, v_stored FROM repository_chunk_totals(p_repo_id);

    UPDATE repository_stats
    SET commit_count = (SELECT count(*) FROM commits WHERE repo_id = p_repo_id),
        branch_count = (SELECT count(*) FROM branches
                        WHERE repo_id = p_repo_id AND NOT starts_with(name, 'shelves/')),
        tag_count = (SELECT count(*) FROM tags WHERE repo_id = p_repo_id),
        contributor_count = (
            SELECT count(DISTINCT lower(author_email)) FROM commits WHERE repo_id = p_repo_id),
        file_count = (SELECT count(*) FROM assets WHERE repo_id = p_repo_id),
        chunk_count = v_chunks,
        storage_bytes = v_stored,
        logical_bytes = v_logical,
        dedup_ratio = CASE WHEN v_stored > 0 THEN v_logical::FLOAT / v_stored ELSE 1.0 END,
        last_activity_at = (
            SELECT greatest(r.pushed_at,
                            (SELECT max(created_at) FROM commits WHERE repo_id = p_repo_id),
                            (SELECT max(updated_at) FROM branches WHERE repo_id = p_repo_id),
                            (SELECT max(created_at) FROM tags WHERE repo_id = p_repo_id))
            FROM repositories r WHERE r.id = p_repo_id),
        calculated_at = clock_timestamp()
    WHERE repo_id = p_repo_id;
END;
$$;
