-- name: read_rules
-- The rules that protect the branches of a repository by their names.
SELECT branch_rules FROM repository_settings WHERE repo_id = $1;

-- name: set_rules
-- Replaces the rules.
UPDATE repository_settings SET branch_rules = $2::text::jsonb WHERE repo_id = $1;

-- name: find_base
-- The tree of a commit ($2), and commit and tree that the default branch is at; NULL without one, or if it is $3.
SELECT c.tree_hash, d.hash AS base, d.tree_hash AS base_tree
FROM commits c
LEFT JOIN branches b ON b.repo_id = c.repo_id AND b.is_default AND b.name <> $3
LEFT JOIN commits d ON d.repo_id = b.repo_id AND d.hash = b.head_commit
WHERE c.repo_id = $1 AND c.hash = $2;
