-- Whose signatures count.

-- What is to be said of a signature that an SSH key has made, as the author or tagger with an address (folded, as
-- users.email_key is): a dits.repo.v1.SignatureVerdict without its prefix, in lower case.
CREATE OR REPLACE FUNCTION signing_verdict(p_fingerprint TEXT, p_email_key TEXT)
RETURNS TEXT
LANGUAGE sql STABLE
AS $$
    SELECT coalesce((
        SELECT CASE
            WHEN u.status <> 'active' THEN 'inactive_account'
            WHEN u.email_key IS DISTINCT FROM p_email_key THEN 'other_address'
            WHEN NOT u.email_verified THEN 'unverified_address'
            ELSE 'good'
        END
        FROM ssh_keys k JOIN users u ON u.id = k.user_id
        WHERE k.fingerprint = p_fingerprint), 'unknown_key')
$$;
