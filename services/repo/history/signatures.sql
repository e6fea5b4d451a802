-- name: sign_commits
-- Stores signatures of commits with what is to be said of them. What a commit has already gives way to a good one alone.
UPDATE commits c
SET signature = d.signature, signature_key = d.key, signature_email = d.email, signature_verdict = d.verdict,
    signature_verified = d.verdict = 'good'
FROM (
    SELECT n.*, coalesce(n.fault, signing_verdict(n.key, n.email)) AS verdict
    FROM unnest(:hashes::text[], :signatures::bytea[], :keys::text[], :emails::text[], :faults::text[])
         AS n (hash, signature, key, email, fault)
) d
WHERE c.repo_id = :repository_id AND c.hash = d.hash AND c.signature_verified IS NOT TRUE
  AND (c.signature IS NULL OR d.verdict = 'good');

-- name: next_commits
-- Up to :count signed commits by key, after (:after_key, :after_repository, :after_name) and up to a last key, with what is
-- to be said of each now.
SELECT signature_key AS key, repo_id, hash AS name, signature_verdict AS before,
       signing_verdict(signature_key, signature_email) AS verdict
FROM commits
WHERE signature_key <= :last_key
  AND (signature_key, repo_id, hash) > (:after_key, :after_repository::uuid, :after_name)
ORDER BY signature_key, repo_id, hash LIMIT :count;

-- name: next_tags
-- As next_commits, of tags.
SELECT signature_key AS key, repo_id, name, signature_verdict AS before,
       signing_verdict(signature_key, signature_email) AS verdict
FROM tags
WHERE signature_key <= :last_key
  AND (signature_key, repo_id, name) > (:after_key, :after_repository::uuid, :after_name)
ORDER BY signature_key, repo_id, name LIMIT :count;

-- name: judge_commits
-- Replaces what is said of the signatures of some commits.
UPDATE commits c SET signature_verdict = d.verdict, signature_verified = d.verdict = 'good'
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS d (repo_id, name, key, verdict)
WHERE c.repo_id = d.repo_id AND c.hash = d.name AND c.signature_key = d.key;

-- name: judge_tags
-- Replaces what is said of the signatures of some tags.
UPDATE tags t SET signature_verdict = d.verdict, signature_verified = d.verdict = 'good'
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS d (repo_id, name, key, verdict)
WHERE t.repo_id = d.repo_id AND t.name = d.name AND t.signature_key = d.key;
