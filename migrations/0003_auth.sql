-- Accounts, credentials, organisations, teams.
--
-- Cures:
--   * names and e-mail addresses were case-sensitive, and a user and an organisation could take the same one;
--   * touching last_active_at, which every request does, counted as an update of the user;
--   * an address could never be invited twice, not even after the first invitation was withdrawn;
--   * the old addresses of a renamed organisation led nowhere, and soon to somebody else;
--   * rotating a user's key destroyed the old one, and what was encrypted with it;
--   * single-use tokens, sudo, spent TOTP steps, throttles and per-repository tokens had no place;
--   * notifications had no order in which they became visible, and could be told twice;
--   * indexes that repeated the one of a UNIQUE constraint; the missing one on team_members(user_id).
--
-- user_credentials.password_salt repeats the salt inside the PHC string of password_hash. Secrets that are
-- encrypted (mfa_secret_encrypted) begin with the id of the server key that encrypted them.

-- -----------------------------------------------------------------------------
-- Names
-- -----------------------------------------------------------------------------

-- In the C collation, case folding and order are the same on every machine, a Turkish one included, and
-- a plain index serves prefix searches.
ALTER TABLE users
    DROP CONSTRAINT users_username_key,
    DROP CONSTRAINT users_email_key,
    ALTER COLUMN username TYPE TEXT COLLATE "C",
    ALTER COLUMN email TYPE TEXT COLLATE "C";
DROP INDEX idx_users_username;
DROP INDEX idx_users_email;
CREATE UNIQUE INDEX users_username_key ON users (lower(username));

-- The server folds addresses by Unicode's rules; lower() does the same for ASCII, in which characters are bytes.
-- For other letters its answer depends on the machine, so that they must come folded.
ALTER TABLE users ADD COLUMN email_folded TEXT COLLATE "C";
UPDATE users SET email_folded = lower(email COLLATE "default") WHERE octet_length(email) <> char_length(email);
ALTER TABLE users
    ADD COLUMN email_key TEXT COLLATE "C" GENERATED ALWAYS AS (coalesce(email_folded, lower(email))) STORED,
    ADD CONSTRAINT users_email_folded_check
        CHECK (email_folded IS NOT NULL OR octet_length(email) = char_length(email));
COMMENT ON COLUMN users.email_key IS 'the spelling that stands for all spellings of the address';
CREATE UNIQUE INDEX users_email_key ON users (email_key);

ALTER TABLE organizations
    DROP CONSTRAINT organizations_name_key,
    ALTER COLUMN name TYPE TEXT COLLATE "C",
    ADD COLUMN deleted_at TIMESTAMPTZ;
DROP INDEX idx_orgs_name;
CREATE UNIQUE INDEX organizations_name_key ON organizations (lower(name));

ALTER TABLE teams
    DROP CONSTRAINT teams_org_id_name_key,
    ALTER COLUMN name TYPE TEXT COLLATE "C";
CREATE UNIQUE INDEX teams_org_id_name_key ON teams (org_id, lower(name));

-- One row per name that a user or an organisation goes by: the first part of `owner/repository`.
-- namespaces_pkey is the constraint that means "name taken", by a user or an organisation.
CREATE TABLE namespaces (
    name_key TEXT COLLATE "C" PRIMARY KEY,
    owner_type TEXT NOT NULL CHECK (owner_type IN ('user', 'organization')),
    owner_id UUID NOT NULL,
    cell SMALLINT NOT NULL DEFAULT 0 CHECK (cell >= 0),
    CONSTRAINT namespaces_owner_key UNIQUE (owner_type, owner_id)
);

COMMENT ON TABLE namespaces IS 'kept by triggers on users and organizations; write those';
COMMENT ON COLUMN namespaces.cell IS 'which database holds the repositories of the owner, and all that is in them';

-- Names that an owner gave up for another one. Until then they lead to the owner, and nobody else can take them.
CREATE TABLE former_names (
    name_key TEXT COLLATE "C" PRIMARY KEY,
    owner_type TEXT NOT NULL CHECK (owner_type IN ('user', 'organization')),
    owner_id UUID NOT NULL,
    kept_until TIMESTAMPTZ NOT NULL
);

CREATE INDEX idx_former_names_owner ON former_names (owner_type, owner_id);
CREATE INDEX idx_former_names_kept_until ON former_names (kept_until);

-- Arguments: the owner type, and the column that holds the name.
CREATE FUNCTION keep_namespace()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
DECLARE
    v_key TEXT COLLATE "C" := lower((to_jsonb(NEW) ->> TG_ARGV[1]) COLLATE "C");
BEGIN
    INSERT INTO namespaces (name_key, owner_type, owner_id)
    VALUES (v_key, TG_ARGV[0], NEW.id)
    ON CONFLICT (owner_type, owner_id) DO UPDATE SET name_key = excluded.name_key;
    -- After the row: who gives the name up at this moment has written here by the time that it is free.
    IF EXISTS (SELECT FROM former_names
               WHERE name_key = v_key AND kept_until > clock_timestamp()
                 AND (owner_type, owner_id) <> (TG_ARGV[0], NEW.id)) THEN
        RAISE EXCEPTION 'the name is kept for its former owner'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'former_names_pkey';
    END IF;
    RETURN NEW;
END;
$$;

-- BEFORE, so that a taken name is always reported by namespaces_pkey and never by the owner's own index.
CREATE TRIGGER users_claim_namespace
    BEFORE INSERT OR UPDATE OF username ON users
    FOR EACH ROW EXECUTE FUNCTION keep_namespace('user', 'username');
CREATE TRIGGER organizations_claim_namespace
    BEFORE INSERT OR UPDATE OF name ON organizations
    FOR EACH ROW EXECUTE FUNCTION keep_namespace('organization', 'name');

INSERT INTO namespaces (name_key, owner_type, owner_id)
SELECT lower(username), 'user', id FROM users
UNION ALL
SELECT lower(name), 'organization', id FROM organizations;

-- These rows are copied into other databases, whose rows refer to them, and replication checks no
-- references. An account that is deleted keeps its row, under a name that frees its own.
CREATE FUNCTION refuse_deletion()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END;
$$;

CREATE TRIGGER users_stay BEFORE DELETE OR TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_deletion();
CREATE TRIGGER organizations_stay BEFORE DELETE OR TRUNCATE ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_deletion();
CREATE TRIGGER namespaces_stay BEFORE DELETE OR TRUNCATE ON namespaces
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_deletion();

-- -----------------------------------------------------------------------------
-- Users and credentials
-- -----------------------------------------------------------------------------

-- Whether a login needs a second factor, for those who decide about rights. Kept by a trigger; write user_credentials.
ALTER TABLE users ADD COLUMN mfa_enabled BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE users u SET mfa_enabled = TRUE FROM user_credentials c WHERE c.user_id = u.id AND c.mfa_enabled;

-- What a suspended account was, and is again when the suspension ends.
ALTER TABLE users ADD COLUMN status_before TEXT CHECK (status_before IN ('active', 'pending_verification'));

-- What the repositories of a user may hold together; NULL = any amount, as of organizations.
ALTER TABLE users ADD COLUMN plan_storage_bytes BIGINT CHECK (plan_storage_bytes >= 0);

-- Presence is not a change of the account. A column added to users later belongs into this list.
DROP TRIGGER update_users_updated_at ON users;
CREATE TRIGGER update_users_updated_at
    BEFORE UPDATE OF username, email, email_folded, email_verified, name, avatar_url, status, status_reason,
                     status_until, status_before, preferences, deleted_at, mfa_enabled, plan_storage_bytes
    ON users
    FOR EACH ROW EXECUTE FUNCTION update_updated_at();

-- An account may have no password. mfa_pending_encrypted: a TOTP secret that was shown and is not confirmed.
-- mfa_last_step: the last time step that was accepted; a step counts once, and none before it counts again.
ALTER TABLE user_credentials
    ALTER COLUMN password_hash DROP NOT NULL,
    ALTER COLUMN password_salt DROP NOT NULL,
    ADD COLUMN mfa_pending_encrypted BYTEA,
    ADD COLUMN mfa_last_step BIGINT,
    ADD CONSTRAINT user_credentials_password_check CHECK ((password_hash IS NULL) = (password_salt IS NULL)),
    ADD CONSTRAINT user_credentials_mfa_check CHECK (NOT mfa_enabled OR mfa_secret_encrypted IS NOT NULL);

CREATE FUNCTION keep_mfa_enabled()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE users SET mfa_enabled = NEW.mfa_enabled WHERE id = NEW.user_id AND mfa_enabled <> NEW.mfa_enabled;
    RETURN NULL;
END;
$$;

CREATE TRIGGER user_credentials_keep_mfa_enabled AFTER INSERT OR UPDATE OF mfa_enabled ON user_credentials
    FOR EACH ROW EXECUTE FUNCTION keep_mfa_enabled();

-- expires_at is the absolute end of a session, last_active_at the clock of its idle end, and sudo_until
-- the end of the minutes after a fresh proof of identity in which dangerous calls are allowed.
-- ip_address is where it was opened, by which a network is known; last_ip is where it was last used.
ALTER TABLE sessions
    ADD COLUMN sudo_until TIMESTAMPTZ,
    ADD COLUMN last_ip INET,
    ADD COLUMN token_issued_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN sessions.mfa_verified IS 'unused: no session of an account with a second factor begins without it';
DROP INDEX idx_sessions_expires;
CREATE INDEX idx_sessions_expires ON sessions (expires_at);
DROP INDEX idx_sessions_token;

-- Tokens that RefreshSession has replaced. One that comes back to it was stolen or lost; sealed_successor, for those who
-- ask twice, is the token that replaced it.
CREATE TABLE former_session_tokens (
    token_hash TEXT PRIMARY KEY,
    session_id UUID NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    replaced_at TIMESTAMPTZ NOT NULL,
    sealed_successor BYTEA NOT NULL
);

CREATE INDEX idx_former_session_tokens_session ON former_session_tokens (session_id);

ALTER TABLE api_tokens
    ADD COLUMN repository_ids UUID[]
        CONSTRAINT api_tokens_repository_ids_check CHECK (cardinality(repository_ids) > 0),
    ADD COLUMN parent_id UUID REFERENCES api_tokens (id) ON DELETE CASCADE,
    ADD COLUMN generation SMALLINT NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 7),
    ADD CONSTRAINT api_tokens_generation_parent_check CHECK ((generation = 0) = (parent_id IS NULL));
COMMENT ON COLUMN api_tokens.repository_ids IS 'the only repositories it opens; NULL: all of its user''s';
COMMENT ON COLUMN api_tokens.parent_id IS 'the token that made it, and with which it ends; NULL: a session made it';
COMMENT ON COLUMN api_tokens.generation IS 'how many tokens stand above it: an access check reads them all';
CREATE INDEX idx_api_tokens_parent ON api_tokens (parent_id) WHERE parent_id IS NOT NULL;
DROP INDEX idx_api_tokens_hash;
-- When its owner was told that it ends soon.
ALTER TABLE api_tokens ADD COLUMN end_noticed_at TIMESTAMPTZ;
CREATE INDEX idx_api_tokens_expires ON api_tokens (expires_at)
    WHERE end_noticed_at IS NULL AND revoked_at IS NULL;

-- What organisations decided about tokens: whether they reach their repositories.
CREATE TABLE token_decisions (
    token_id UUID NOT NULL REFERENCES api_tokens (id) ON DELETE CASCADE,
    org_id UUID NOT NULL REFERENCES organizations (id),
    approved BOOLEAN NOT NULL,
    decided_by UUID NOT NULL REFERENCES users (id),
    decided_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (token_id, org_id)
);

DROP INDEX idx_ssh_keys_fingerprint;

-- Every version of a user's key stays readable; the highest is the current one.
ALTER TABLE user_keys
    DROP CONSTRAINT user_keys_pkey,
    ADD CONSTRAINT user_keys_pkey PRIMARY KEY (user_id, key_version);

-- Links that were mailed and challenges that were issued, each good once. user_id is NULL when a challenge
-- was asked for an unknown user, who gets one all the same. context carries what the purpose needs, such
-- as the address to verify; attempts counts the guesses at a challenge.
CREATE TABLE one_time_tokens (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    purpose TEXT NOT NULL
        CHECK (purpose IN ('verify_email', 'change_email', 'reset_password', 'mfa_challenge', 'ssh_challenge',
                           'ssh_key_proof')),
    user_id UUID REFERENCES users (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL UNIQUE,
    context JSONB NOT NULL DEFAULT '{}',
    attempts INT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ,
    ip_address INET
);

CREATE INDEX idx_one_time_tokens_user ON one_time_tokens (user_id, purpose);
CREATE INDEX idx_one_time_tokens_expires ON one_time_tokens (expires_at);

-- Failed attempts per bucket (a login from a network, an address), shared by all replicas.
CREATE TABLE login_throttles (
    bucket TEXT PRIMARY KEY,
    failures INT NOT NULL CHECK (failures >= 0),
    window_started_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    blocked_until TIMESTAMPTZ
);

CREATE INDEX idx_login_throttles_window ON login_throttles (window_started_at);

-- -----------------------------------------------------------------------------
-- Notifications
-- -----------------------------------------------------------------------------

-- Each inbox numbers what comes into it. The row is locked until the transaction that took a number commits, so
-- numbers become visible in their order, and a position is a number. What is behind digested_number was offered to a
-- digest.
CREATE TABLE inboxes (
    user_id UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    last_number BIGINT NOT NULL DEFAULT 0,
    digested_number BIGINT NOT NULL DEFAULT 0
);

-- source_id names what the row tells of: an event, or of mentions the commit. What has come is not told again.
-- mailed_at: when it went into a mail of its own, so no digest repeats it; all that is in one mail has one time.
ALTER TABLE notifications
    ADD COLUMN number BIGINT,
    ADD COLUMN source_id UUID,
    ADD COLUMN repo_id UUID,
    ADD COLUMN mailed_at TIMESTAMPTZ;
UPDATE notifications n
SET number = o.number, source_id = n.id, link = coalesce(n.link, ''), message = coalesce(n.message, ''),
    read_at = CASE WHEN n.read THEN coalesce(n.read_at, n.created_at) END
FROM (SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY created_at, id) AS number FROM notifications) o
WHERE o.id = n.id;
INSERT INTO inboxes (user_id, last_number, digested_number)
SELECT user_id, max(number), max(number) FROM notifications GROUP BY user_id;
ALTER TABLE notifications
    ALTER COLUMN number SET NOT NULL,
    ALTER COLUMN source_id SET NOT NULL,
    ALTER COLUMN created_at SET DEFAULT clock_timestamp(),
    ALTER COLUMN link SET DEFAULT '',
    ALTER COLUMN link SET NOT NULL,
    ALTER COLUMN message SET DEFAULT '',
    ALTER COLUMN message SET NOT NULL,
    ADD CONSTRAINT notifications_number_key UNIQUE (user_id, number),
    ADD CONSTRAINT notifications_source_key UNIQUE (user_id, type, source_id),
    ADD CONSTRAINT notifications_read_check CHECK (read = (read_at IS NOT NULL));
DROP INDEX idx_notifications_user;
DROP INDEX idx_notifications_unread;
CREATE INDEX idx_notifications_unread ON notifications (user_id, number) WHERE NOT read;
CREATE INDEX idx_notifications_mailed ON notifications (user_id, mailed_at) WHERE mailed_at IS NOT NULL;
CREATE INDEX idx_notifications_read_at ON notifications (read_at) WHERE read;
CREATE INDEX idx_notifications_unread_created ON notifications (created_at) WHERE NOT read;

ALTER TABLE notification_preferences
    ADD COLUMN email_on_lock_loss BOOLEAN NOT NULL DEFAULT TRUE,
    ADD COLUMN email_on_webhook_disabled BOOLEAN NOT NULL DEFAULT TRUE,
    ADD COLUMN email_on_security BOOLEAN NOT NULL DEFAULT TRUE;
COMMENT ON COLUMN notification_preferences.email_on_lock_loss IS
    'a lock was released by force, stolen, or transferred by another user';
COMMENT ON COLUMN notification_preferences.email_on_review_request IS 'unused: there are no reviews yet';

-- Whose inbox a push to a branch goes to. The branch need not exist.
CREATE TABLE branch_follows (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    repo_id UUID NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    branch TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, repo_id, branch)
);

CREATE INDEX idx_branch_follows_branch ON branch_follows (repo_id, branch, user_id);

-- -----------------------------------------------------------------------------
-- Organisations
-- -----------------------------------------------------------------------------

-- Only an open invitation stands in the way of another; an invited role is one that a member can have.
ALTER TABLE organization_invitations
    DROP CONSTRAINT organization_invitations_org_id_email_key,
    ALTER COLUMN email TYPE TEXT COLLATE "C",
    ADD COLUMN revoked_at TIMESTAMPTZ,
    ADD COLUMN declined_at TIMESTAMPTZ,
    ADD COLUMN accepted_by UUID REFERENCES users (id),
    ADD CONSTRAINT organization_invitations_end_check
        CHECK (num_nonnulls(accepted_at, declined_at, revoked_at) <= 1),
    ADD CONSTRAINT organization_invitations_role_check
        CHECK (role IN ('owner', 'admin', 'member', 'billing'));

-- As in users.
ALTER TABLE organization_invitations ADD COLUMN email_folded TEXT COLLATE "C";
UPDATE organization_invitations SET email_folded = lower(email COLLATE "default")
WHERE octet_length(email) <> char_length(email);
ALTER TABLE organization_invitations
    ADD COLUMN email_key TEXT COLLATE "C" GENERATED ALWAYS AS (coalesce(email_folded, lower(email))) STORED,
    ADD CONSTRAINT organization_invitations_email_folded_check
        CHECK (email_folded IS NOT NULL OR octet_length(email) = char_length(email));
DROP INDEX idx_org_invites_token;
CREATE UNIQUE INDEX organization_invitations_open_key ON organization_invitations (org_id, email_key)
    WHERE accepted_at IS NULL AND revoked_at IS NULL AND declined_at IS NULL;
CREATE INDEX idx_organization_invitations_email ON organization_invitations (email_key)
    WHERE accepted_at IS NULL AND revoked_at IS NULL AND declined_at IS NULL;

CREATE INDEX idx_organization_invitations_expires ON organization_invitations (expires_at);
-- How many somebody has sent of late.
CREATE INDEX idx_organization_invitations_sent ON organization_invitations (invited_by, created_at);

ALTER TABLE team_members
    ADD CONSTRAINT team_members_role_check CHECK (role IN ('maintainer', 'member'));

-- "Which teams is this user in" is asked on every access check.
CREATE INDEX idx_team_members_user ON team_members (user_id);

-- -----------------------------------------------------------------------------
-- Changes of rights
-- -----------------------------------------------------------------------------

-- Every service keeps answers of the access check for up to five seconds. These triggers tell it to
-- forget those about one user, repository or organization at once. A hint, sent at commit; losing one loses nothing.
-- ALWAYS: changes that arrive by replication are announced in the database in which they arrive.
-- Arguments: the column that holds the id; what stands before it ('organization '), or nothing.
CREATE FUNCTION announce_access_change()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
DECLARE
    v_row JSONB := to_jsonb(coalesce(NEW, OLD));
BEGIN
    PERFORM pg_notify('dits_access', concat(TG_ARGV[1], v_row ->> TG_ARGV[0]));
    RETURN NULL;
END;
$$;

CREATE TRIGGER sessions_announce AFTER UPDATE OF revoked_at OR DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER api_tokens_announce AFTER UPDATE OF revoked_at, scopes, repository_ids OR DELETE ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER users_announce AFTER UPDATE OF status, username, mfa_enabled ON users
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('id');
CREATE TRIGGER organization_members_announce AFTER INSERT OR UPDATE OR DELETE ON organization_members
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER team_members_announce AFTER INSERT OR UPDATE OR DELETE ON team_members
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER organizations_announce AFTER UPDATE OF settings ON organizations
    FOR EACH ROW WHEN (OLD.settings IS DISTINCT FROM NEW.settings)
    EXECUTE FUNCTION announce_access_change('id', 'organization ');
CREATE TRIGGER token_decisions_announce AFTER INSERT OR UPDATE OR DELETE ON token_decisions
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('org_id', 'organization ');

ALTER TABLE sessions ENABLE ALWAYS TRIGGER sessions_announce;
ALTER TABLE api_tokens ENABLE ALWAYS TRIGGER api_tokens_announce;
ALTER TABLE users ENABLE ALWAYS TRIGGER users_announce;
ALTER TABLE organization_members ENABLE ALWAYS TRIGGER organization_members_announce;
ALTER TABLE team_members ENABLE ALWAYS TRIGGER team_members_announce;
ALTER TABLE organizations ENABLE ALWAYS TRIGGER organizations_announce;
ALTER TABLE token_decisions ENABLE ALWAYS TRIGGER token_decisions_announce;

-- -----------------------------------------------------------------------------
-- Published for the other services
-- -----------------------------------------------------------------------------

-- Owners of repositories: show `name`.
CREATE VIEW owner_identities AS
SELECT n.name_key,
       n.owner_type,
       n.owner_id,
       coalesce(u.username, o.name) AS name,
       coalesce(u.name, o.display_name) AS display_name,
       coalesce(u.status = 'active', o.deleted_at IS NULL) AS active,
       n.cell
FROM namespaces n
LEFT JOIN users u ON n.owner_type = 'user' AND u.id = n.owner_id
LEFT JOIN organizations o ON n.owner_type = 'organization' AND o.id = n.owner_id;

-- The names that lead to an owner, its former ones too: look up `name_key = lower(...)`.
CREATE VIEW owner_names AS
SELECT name_key, owner_type, owner_id FROM namespaces
UNION ALL
SELECT name_key, owner_type, owner_id FROM former_names WHERE kept_until > clock_timestamp();

-- The people who hold locks, push, and are told about it.
CREATE VIEW user_identities AS
SELECT id, username, name, email, email_verified, status
FROM users;

-- The teams to which repositories are granted.
CREATE VIEW team_identities AS
SELECT id, org_id, name FROM teams;

-- What quotas and billing need to know about an organisation.
CREATE VIEW organization_plans AS
SELECT o.id AS org_id,
       o.plan,
       o.plan_seats,
       o.plan_storage_bytes,
       (SELECT count(*) FROM organization_members m WHERE m.org_id = o.id) AS member_count,
       (SELECT count(*)
        FROM organization_members m JOIN users u ON u.id = m.user_id
        WHERE m.org_id = o.id AND u.last_active_at > now() - INTERVAL '30 days') AS active_user_count
FROM organizations o
WHERE o.deleted_at IS NULL;

-- What the repositories of an owner may hold together, in bytes; NULL = any amount.
CREATE VIEW owner_plans AS
SELECT n.owner_type,
       n.owner_id,
       coalesce(u.plan_storage_bytes, o.plan_storage_bytes) AS plan_storage_bytes
FROM namespaces n
LEFT JOIN users u ON n.owner_type = 'user' AND u.id = n.owner_id
LEFT JOIN organizations o ON n.owner_type = 'organization' AND o.id = n.owner_id;
