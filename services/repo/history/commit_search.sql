-- name: matching_commits
-- Those of some commits whose author contains a text, and that were committed between two times.
SELECT hash FROM commits
WHERE repo_id = :repository_id AND hash = ANY (:hashes::text[])
  AND (:author::text = ''
       OR position(lower(:author) IN lower(author_name || ' <' || author_email || '>')) > 0)
  AND (:since::timestamptz IS NULL OR committer_timestamp >= :since)
  AND (:until::timestamptz IS NULL OR committer_timestamp < :until);
