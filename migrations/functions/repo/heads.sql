-- Where branches are, for transactions of other services.

-- The commit that a branch of a repository is at, '' for the default branch; NULL if there is none.
CREATE OR REPLACE FUNCTION branch_head(p_repository_id UUID, p_branch TEXT)
RETURNS TEXT
LANGUAGE sql STABLE
AS $$
    SELECT b.head_commit
    FROM repositories r
    JOIN branches b ON b.repo_id = r.id AND b.name = CASE WHEN p_branch = '' THEN r.default_branch ELSE p_branch END
    WHERE r.id = p_repository_id AND r.deleted_at IS NULL
$$;
