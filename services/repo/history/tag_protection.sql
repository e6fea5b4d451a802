-- name: read_protection
-- What protects the tags of a repository.
SELECT tag_protection FROM repository_settings WHERE repo_id = $1;

-- name: set_protection
-- Replaces what protects the tags of a repository.
UPDATE repository_settings SET tag_protection = $2::text::jsonb WHERE repo_id = $1;
