-- Repositories, refs, history, webhooks, usage.
--
-- Cures:
--   * repository names were case-sensitive, and deletion was final: there is a deleted_at to undo it by;
--   * the old addresses of a repository that was renamed or went to another owner led nowhere;
--   * nothing checked that the owner of a repository exists, or stays;
--   * a branch or tag could name a commit that is not there, a commit a manifest that is not there;
--   * manifests.commit_hash looked as if a tree belonged to one commit; assets were not counted;
--   * webhooks belonged to repositories alone, had one secret, and could not be switched off for failing;
--   * webhook deliveries had no pending state, no attempts and no job;
--   * updated_at stood still on branches and webhooks, and moved with every push on repositories;
--   * "children of this commit" had an index that cannot answer it and breaks at some forty parents;
--     idx_repos_owner repeated a key; team_repositories had none by repository.

-- -----------------------------------------------------------------------------
-- Repositories
-- -----------------------------------------------------------------------------

-- A deleted repository keeps its rows for the undo period and frees its name; undoing meets
-- repositories_owner_name_key if another repository took it meanwhile.
ALTER TABLE repositories
    DROP CONSTRAINT repositories_owner_type_owner_id_name_key,
    ALTER COLUMN name TYPE TEXT COLLATE "C",
    ADD COLUMN deleted_at TIMESTAMPTZ,
    ADD COLUMN purge_started_at TIMESTAMPTZ,
    ADD COLUMN disabled_reason TEXT,
    ADD COLUMN has_obliterations BOOLEAN NOT NULL DEFAULT FALSE,
    ADD CONSTRAINT repositories_purge_check CHECK (purge_started_at IS NULL OR deleted_at IS NOT NULL),
    ADD CONSTRAINT repositories_disabled_check CHECK (disabled OR disabled_reason IS NULL);
COMMENT ON COLUMN repositories.purge_started_at IS 'from then on it cannot be brought back';
COMMENT ON COLUMN repositories.storage_region IS 'region of the server that created it; where chunks lie says repository_settings.regions';
COMMENT ON COLUMN repositories.has_obliterations IS 'whether a content was ever obliterated, even if that was lifted';
DROP INDEX idx_repos_owner;
-- Nothing asks for either, and each push would write to all indexes of its repository's row.
DROP INDEX idx_repos_pushed, idx_branches_updated;
CREATE UNIQUE INDEX repositories_owner_name_key ON repositories (owner_type, owner_id, lower(name))
    WHERE deleted_at IS NULL;
CREATE INDEX idx_repos_deleted ON repositories (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX idx_repos_deleted_owner ON repositories (owner_type, owner_id, deleted_at, id) WHERE deleted_at IS NOT NULL;

-- The two kinds of owner meet in namespaces, so the reference can be a real one: an owner with
-- repositories, deleted ones that wait for their purge included, cannot be removed.
ALTER TABLE repositories
    ADD CONSTRAINT repositories_owner_fkey
        FOREIGN KEY (owner_type, owner_id) REFERENCES namespaces (owner_type, owner_id);

CREATE INDEX idx_team_repositories_repo ON team_repositories (repo_id);
ALTER TABLE team_repositories ADD COLUMN added_by UUID REFERENCES users (id);

-- Addresses that a repository gave up for another one. Until then they lead to it, and no other repository of that
-- owner can take the name.
CREATE TABLE former_repository_names (
    owner_type TEXT NOT NULL,
    owner_id UUID NOT NULL,
    name_key TEXT COLLATE "C" NOT NULL,
    repo_id UUID NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    kept_until TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (owner_type, owner_id, name_key)
);

CREATE INDEX idx_former_repository_names_repo ON former_repository_names (repo_id);
CREATE INDEX idx_former_repository_names_kept_until ON former_repository_names (kept_until);

-- After the row: who gives the name up at this moment has written there by the time that the index lets it through.
CREATE FUNCTION refuse_kept_name()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM former_repository_names
               WHERE owner_type = NEW.owner_type AND owner_id = NEW.owner_id AND name_key = lower(NEW.name)
                 AND kept_until > clock_timestamp() AND repo_id <> NEW.id) THEN
        RAISE EXCEPTION 'the name is kept for another repository'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'former_repository_names_pkey';
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER repositories_refuse_kept_name
    AFTER INSERT OR UPDATE OF name, owner_type, owner_id, deleted_at ON repositories
    FOR EACH ROW WHEN (NEW.deleted_at IS NULL) EXECUTE FUNCTION refuse_kept_name();

-- Open requests that a repository goes to another owner.
CREATE TABLE repository_transfers (
    repo_id UUID PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    owner_type TEXT NOT NULL,
    owner_id UUID NOT NULL,
    requested_by UUID NOT NULL REFERENCES users (id),
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    expires_at TIMESTAMPTZ NOT NULL,
    FOREIGN KEY (owner_type, owner_id) REFERENCES namespaces (owner_type, owner_id)
);

CREATE INDEX idx_repository_transfers_owner ON repository_transfers (owner_type, owner_id, repo_id);
COMMENT ON COLUMN repository_transfers.owner_id IS 'the new owner';

-- -----------------------------------------------------------------------------
-- History
-- -----------------------------------------------------------------------------

-- Hashes and refs are compared byte by byte: 1.5 times faster than by the rules of a language, and the
-- order that the services sort in, which is what keeps batch writers from deadlocking.
ALTER TABLE manifests
    ALTER COLUMN hash TYPE TEXT COLLATE "C",
    ALTER COLUMN commit_hash TYPE TEXT COLLATE "C",
    ALTER COLUMN parent_hash TYPE TEXT COLLATE "C",
    ALTER COLUMN content SET STORAGE EXTERNAL;  -- compressed already
ALTER TABLE commits
    ALTER COLUMN hash TYPE TEXT COLLATE "C",
    ALTER COLUMN tree_hash TYPE TEXT COLLATE "C",
    ALTER COLUMN parent_hashes TYPE TEXT[] COLLATE "C";
ALTER TABLE branches
    ALTER COLUMN name TYPE TEXT COLLATE "C",
    ALTER COLUMN head_commit TYPE TEXT COLLATE "C",
    ALTER COLUMN created_from TYPE TEXT COLLATE "C";
ALTER TABLE tags
    ALTER COLUMN name TYPE TEXT COLLATE "C",
    ALTER COLUMN commit_hash TYPE TEXT COLLATE "C";

-- Counted at the push, as entry_count is: a push that names the directory is bounded without reading it.
ALTER TABLE manifests
    ADD COLUMN depth INT NOT NULL DEFAULT 1,
    ADD COLUMN path_bytes INT NOT NULL DEFAULT 0;
COMMENT ON COLUMN manifests.depth IS 'directories in one another, this one included';
COMMENT ON COLUMN manifests.path_bytes IS 'length of the longest path below, from this directory on';

-- A large directory of which little changed is stored as a delta to the same directory before
-- (docs/decisions/0011-manifest-deltas.md). The key is checked at commit: one transaction adds or removes
-- both. Without a base decoded_bytes is the manifest's own size; rows of the first schema have the limit.
ALTER TABLE manifests
    ADD COLUMN delta_base TEXT COLLATE "C",
    ADD COLUMN delta_depth SMALLINT NOT NULL DEFAULT 0 CHECK (delta_depth BETWEEN 0 AND 16),
    ADD COLUMN decoded_bytes INT NOT NULL DEFAULT 16777216 CHECK (decoded_bytes >= 0),
    ADD CONSTRAINT manifests_delta_check CHECK ((delta_base IS NULL) = (delta_depth = 0)),
    ADD CONSTRAINT manifests_delta_base_fkey
        FOREIGN KEY (repo_id, delta_base) REFERENCES manifests (repo_id, hash) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX idx_manifests_delta_base ON manifests (delta_base, repo_id) WHERE delta_base IS NOT NULL;
COMMENT ON COLUMN manifests.content IS 'zstd of the canonical bytes, with those of the base as dictionary';
COMMENT ON COLUMN manifests.delta_base IS 'the manifest that content is a delta to; NULL = it stands alone';
COMMENT ON COLUMN manifests.delta_depth IS 'how many bases there are in one another, at most';
COMMENT ON COLUMN manifests.decoded_bytes IS 'canonical bytes of the manifest and of all its bases, at most';

-- Which search found that no commit reaches the directory (docs/decisions/0020-releasing-history.md). A push that names the
-- directory makes it NULL again.
ALTER TABLE manifests ADD COLUMN condemned BIGINT;
CREATE INDEX idx_manifests_condemned ON manifests (repo_id, hash) WHERE condemned IS NOT NULL;
CREATE SEQUENCE manifest_condemnations;
COMMENT ON COLUMN manifests.condemned IS 'drawn from manifest_condemnations; NULL = not condemned';

COMMENT ON COLUMN repository_settings.auto_generate_proxies IS 'unused: the server makes no proxies of media';
COMMENT ON COLUMN repository_settings.proxy_resolution IS 'unused: the server makes no proxies of media';
COMMENT ON COLUMN repository_settings.webhook_secret IS 'unused: each webhook has its own secret, encrypted, in webhooks';

-- Names that Windows and macOS can store, and tell apart.
ALTER TABLE repository_settings ADD COLUMN portable_names BOOLEAN NOT NULL DEFAULT TRUE;

-- 0 = as much as there is room for.
ALTER TABLE repository_settings ADD COLUMN max_storage_bytes BIGINT NOT NULL DEFAULT 0 CHECK (max_storage_bytes >= 0);

-- Which files need a lock to be changed, as a .gitignore says it; none = all.
-- In which regions its chunks are to lie; none = wherever the server that took them stands. min_regions: in how many of them
-- before a push can name them. replication_seconds: how long after an upload copies may begin.
ALTER TABLE repository_settings
    ADD COLUMN regions TEXT[] NOT NULL DEFAULT '{}',
    ADD COLUMN min_regions INT NOT NULL DEFAULT 0 CHECK (min_regions >= 0),
    ADD COLUMN replication_seconds INT NOT NULL DEFAULT 0 CHECK (replication_seconds >= 0);
ALTER TABLE repository_settings ADD COLUMN lock_patterns TEXT[] NOT NULL DEFAULT '{}';
-- Which files clients fetch only when asked for them; none = all at once.
ALTER TABLE repository_settings ADD COLUMN on_demand_patterns TEXT[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN manifests.commit_hash IS 'the commit that first brought it, which may be gone; others may share it';
COMMENT ON COLUMN manifests.parent_hash IS 'the same directory in the parent of that commit';

-- Every head and tag reaches a commit, every commit its tree. The collector of unreachable history runs
-- into these keys, and not into a race, when a branch is made where it is about to delete.
ALTER TABLE commits
    ADD CONSTRAINT commits_tree_fkey
        FOREIGN KEY (repo_id, tree_hash) REFERENCES manifests (repo_id, hash);
ALTER TABLE branches
    ADD CONSTRAINT branches_head_fkey
        FOREIGN KEY (repo_id, head_commit) REFERENCES commits (repo_id, hash);
ALTER TABLE tags
    ADD CONSTRAINT tags_commit_fkey
        FOREIGN KEY (repo_id, commit_hash) REFERENCES commits (repo_id, hash);
CREATE INDEX idx_commits_tree ON commits (tree_hash, repo_id);
CREATE INDEX idx_branches_head ON branches (head_commit, repo_id);

-- tag_hash: of the canonical bytes of an annotated tag, which its signature covers; NULL for a lightweight one.
ALTER TABLE tags
    ADD COLUMN tag_hash TEXT COLLATE "C",
    ADD COLUMN tagger_offset_minutes SMALLINT CHECK (tagger_offset_minutes BETWEEN -1439 AND 1439),
    ADD CONSTRAINT tags_annotated_check CHECK (
        CASE tag_type WHEN 'annotated'
        THEN num_nulls(tag_hash, message, tagger_name, tagger_email, tagger_timestamp, tagger_offset_minutes) = 0
        ELSE num_nonnulls(tag_hash, message, tagger_name, tagger_email, tagger_timestamp, signature) = 0 END)
    NOT VALID;

-- What is known of a signature (the armor): the fingerprint of the key that made it, the address that this key has to
-- belong to, and the verdict, of which signature_verified is the short form. The rows of one key are found when it changes.
ALTER TABLE commits
    ADD COLUMN signature_key TEXT COLLATE "C",
    ADD COLUMN signature_email TEXT COLLATE "C",
    ADD COLUMN signature_verdict TEXT,
    ADD CONSTRAINT commits_signature_check CHECK (
        num_nulls(signature, signature_key, signature_email, signature_verdict) IN (0, 4)
        AND signature_verified IS NOT DISTINCT FROM (signature_verdict = 'good')) NOT VALID;
ALTER TABLE tags
    ADD COLUMN signature_key TEXT COLLATE "C",
    ADD COLUMN signature_email TEXT COLLATE "C",
    ADD COLUMN signature_verdict TEXT,
    ADD CONSTRAINT tags_signature_check CHECK (
        num_nulls(signature, signature_key, signature_email, signature_verdict) IN (0, 4)
        AND signature_verified IS NOT DISTINCT FROM (signature_verdict = 'good')) NOT VALID;
CREATE INDEX idx_commits_signature ON commits (signature_key, repo_id, hash) WHERE signature_key IS NOT NULL;
CREATE INDEX idx_tags_signature ON tags (signature_key, repo_id, name) WHERE signature_key IS NOT NULL;

-- The JSON of a dits.repo.v1.TagProtection; NULL = nothing.
ALTER TABLE repository_settings ADD COLUMN tag_protection JSONB;
-- The JSON of a dits.repo.v1.GetBranchRulesResponse; NULL = nothing.
ALTER TABLE repository_settings ADD COLUMN branch_rules JSONB;
COMMENT ON COLUMN branches.protection IS 'the JSON of a dits.repo.v1.BranchProtection; NULL = nothing';

-- One more than the highest of its parents, 0 for a first commit: parents sort before children by it, and
-- a search for an ancestor need not look below the generation of what it looks for.
ALTER TABLE commits ADD COLUMN generation BIGINT NOT NULL DEFAULT 0 CHECK (generation >= 0);
ALTER TABLE commits ALTER COLUMN generation DROP DEFAULT;

-- A filter of what a commit changed against its first parent (docs/decisions/0006-walking-the-history.md);
-- NULL until it is computed: soon after the push, if not with it. It says what has changed nothing, so
-- losing it costs time alone.
ALTER TABLE commits ADD COLUMN changed_paths BYTEA;
CREATE INDEX idx_commits_unfiltered ON commits (repo_id, hash) WHERE changed_paths IS NULL;

-- Statistics know nothing of a repository that is younger than they are: the planner believes it has one row, and
-- reads all of its rows by any index that begins with repo_id. Without statistics it assumes some, and takes the key.
-- While a table is empty all indexes seem equal, so few others begin with it. Commits are listed by generation,
-- which replaces the index by time. Nothing asks for those by author, by media type and by first commit: contents are listed by
-- size, and the others looked for by a part of the text.
ALTER TABLE commits ALTER COLUMN repo_id SET STATISTICS 0;
ALTER TABLE manifests ALTER COLUMN repo_id SET STATISTICS 0;
ALTER TABLE assets ALTER COLUMN repo_id SET STATISTICS 0;
DROP INDEX idx_commits_time, idx_commits_author, idx_manifests_commit, idx_assets_mime;

-- The time zones of author and committer, in minutes east of UTC. They are part of the commit's hash.
ALTER TABLE commits
    ADD COLUMN author_offset_minutes SMALLINT NOT NULL DEFAULT 0
        CHECK (author_offset_minutes BETWEEN -1439 AND 1439),
    ADD COLUMN committer_offset_minutes SMALLINT NOT NULL DEFAULT 0
        CHECK (committer_offset_minutes BETWEEN -1439 AND 1439);

-- parent_hashes @> ARRAY[hash] finds the children. Each parent is an entry of its own, so their number
-- does not matter. New entries wait in a list that every search reads: kept short, for even pushes.
DROP INDEX idx_commits_parent;
CREATE INDEX idx_commits_parent ON commits USING gin (parent_hashes) WITH (gin_pending_list_limit = 256);

-- Commits that a branch or tag has left. A commit has a branch, a tag, a child or a row here: when the time of the row is
-- over, and nothing else names the commit, it goes, and its parents are looked at, or get rows whose time is over.
CREATE TABLE former_heads (
    repo_id UUID NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    commit_hash TEXT COLLATE "C" NOT NULL,
    left_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (repo_id, commit_hash),
    FOREIGN KEY (repo_id, commit_hash) REFERENCES commits (repo_id, hash)
);
CREATE INDEX idx_former_heads_left ON former_heads (repo_id, left_at);
-- In which repositories something is due.
CREATE INDEX idx_former_heads_due ON former_heads (left_at, repo_id);
COMMENT ON COLUMN former_heads.left_at IS 'since when no branch or tag is at the commit; one may have come back';

INSERT INTO former_heads (repo_id, commit_hash)
SELECT c.repo_id, c.hash FROM commits c
WHERE NOT EXISTS (SELECT FROM commits k WHERE k.repo_id = c.repo_id AND k.parent_hashes @> ARRAY[c.hash])
  AND NOT EXISTS (SELECT FROM branches b WHERE b.repo_id = c.repo_id AND b.head_commit = c.hash)
  AND NOT EXISTS (SELECT FROM tags t WHERE t.repo_id = c.repo_id AND t.commit_hash = c.hash);

-- Repositories of which commits went, and whose directories have not been searched since.
CREATE TABLE released_histories (
    repo_id UUID PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    released_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

-- ref_count: live manifests of the repository that contain the asset; at 0 the row goes, and gives its
-- chunks back. recipe_hash: of size and chunk list as a manifest has them, so that one content cannot be
-- counted under two lists; empty for a list of one chunk, which the hash says. Room on each page keeps the
-- counting in place (HOT). For the foreign key: 0002.
ALTER TABLE assets
    DROP CONSTRAINT assets_repo_id_fkey,
    ALTER COLUMN hash TYPE TEXT COLLATE "C",
    ADD COLUMN ref_count INT NOT NULL DEFAULT 0 CHECK (ref_count >= 0),
    ADD COLUMN recipe_hash TEXT COLLATE "C" NOT NULL DEFAULT '',
    SET (fillfactor = 80);
ALTER TABLE assets ALTER COLUMN recipe_hash DROP DEFAULT;

-- Contents that were removed from every version: their assets stay, and refer to no chunks. They outlive these rows, so that
-- what was obliterated cannot come back. Each push reads the hashes of all of its repository's.
CREATE TABLE obliterations (
    repo_id UUID NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    hash TEXT COLLATE "C" NOT NULL,
    reason TEXT NOT NULL CHECK (reason <> ''),
    obliterated_by UUID NOT NULL REFERENCES users (id),
    obliterated_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (repo_id, hash)
);

COMMENT ON TABLE obliterations IS 'contents of repositories whose bytes were removed, and may not come back';

CREATE FUNCTION note_obliterations()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE repositories SET has_obliterations = TRUE
    WHERE id IN (SELECT repo_id FROM changed) AND NOT has_obliterations;
    RETURN NULL;
END;
$$;
CREATE TRIGGER obliterations_note AFTER INSERT ON obliterations
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_obliterations();

CREATE FUNCTION require_repositories_of_assets()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
DECLARE
    v_repo_id UUID;
BEGIN
    FOR v_repo_id IN SELECT DISTINCT repo_id FROM changed ORDER BY repo_id LOOP
        PERFORM FROM repositories WHERE id = v_repo_id FOR KEY SHARE;
        IF NOT FOUND THEN
            PERFORM refuse_reference('assets_repo_id_fkey', v_repo_id::text);
        END IF;
    END LOOP;
    RETURN NULL;
END;
$$;

CREATE FUNCTION delete_assets_of_repository()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM assets WHERE repo_id = OLD.id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER assets_keep_keys BEFORE UPDATE OF repo_id ON assets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_new_keys();
CREATE TRIGGER assets_require_repositories AFTER INSERT ON assets
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_repositories_of_assets();
CREATE TRIGGER repositories_delete_assets AFTER DELETE ON repositories
    FOR EACH ROW EXECUTE FUNCTION delete_assets_of_repository();

-- A push is not a change of the repository's own data. A column added later belongs into this list.
DROP TRIGGER update_repositories_updated_at ON repositories;
CREATE TRIGGER update_repositories_updated_at
    BEFORE UPDATE OF name, description, owner_type, owner_id, visibility, default_branch, archived,
                     disabled, disabled_reason, settings, deleted_at
    ON repositories
    FOR EACH ROW EXECUTE FUNCTION update_updated_at();

CREATE TRIGGER update_branches_updated_at
    BEFORE UPDATE ON branches
    FOR EACH ROW EXECUTE FUNCTION update_updated_at();

-- -----------------------------------------------------------------------------
-- Webhooks and their deliveries
-- -----------------------------------------------------------------------------

-- A webhook belongs to a repository or to an organisation. previous_secret_* is valid, too, for a time after a
-- rotation. failing_since and failure_count tell of the attempts that have failed since the last success; nothing is sent
-- until paused_until. disabled_at: the server has switched it off for its failures. A deleted webhook stays without its
-- secrets until its deliveries are purged.
ALTER TABLE webhooks
    ALTER COLUMN repo_id DROP NOT NULL,
    ADD COLUMN org_id UUID REFERENCES organizations (id),
    ADD COLUMN created_by UUID REFERENCES users (id),
    ADD COLUMN previous_secret_encrypted BYTEA,
    ADD COLUMN previous_secret_until TIMESTAMPTZ,
    ADD COLUMN failing_since TIMESTAMPTZ,
    ADD COLUMN failure_count INT NOT NULL DEFAULT 0 CHECK (failure_count >= 0),
    ADD COLUMN paused_until TIMESTAMPTZ,
    ADD COLUMN disabled_at TIMESTAMPTZ,
    ADD COLUMN deleted_at TIMESTAMPTZ,
    ADD CONSTRAINT webhooks_owner_check CHECK (num_nonnulls(repo_id, org_id) = 1),
    ADD CONSTRAINT webhooks_previous_secret_check
        CHECK (num_nonnulls(previous_secret_encrypted, previous_secret_until) IN (0, 2)),
    ADD CONSTRAINT webhooks_disabled_check CHECK (NOT active OR disabled_at IS NULL),
    ADD CONSTRAINT webhooks_deleted_check CHECK (NOT active OR deleted_at IS NULL);
DROP INDEX idx_webhooks_repo;
CREATE INDEX idx_webhooks_repo ON webhooks (repo_id) WHERE deleted_at IS NULL;
CREATE INDEX idx_webhooks_org ON webhooks (org_id) WHERE deleted_at IS NULL;
CREATE INDEX idx_webhooks_deleted ON webhooks (id) WHERE deleted_at IS NOT NULL;

-- Counting failures is no change of a webhook.
CREATE TRIGGER update_webhooks_updated_at
    BEFORE UPDATE OF url, events, active, secret_encrypted, deleted_at ON webhooks
    FOR EACH ROW EXECUTE FUNCTION update_updated_at();

-- One row per attempt; delivery_id is what the attempts at one delivery share, and what the receiver is
-- told. An attempt waits until scheduled_at; from started_at on it is under way, in the job job_id; it is pending until
-- it has an answer, or the error that stood in its place. payload: its text is the body that is sent; it is in the first
-- attempt's row alone. requested_by asked for the delivery; NULL = an event did.
ALTER TABLE webhook_deliveries
    ALTER COLUMN payload DROP NOT NULL,
    ADD COLUMN delivery_id UUID NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN attempt INT NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    ADD COLUMN state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded', 'failed')),
    ADD COLUMN job_id UUID,
    ADD COLUMN event_id UUID,
    ADD COLUMN requested_by UUID,
    ADD COLUMN error TEXT,
    ADD COLUMN created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN scheduled_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN started_at TIMESTAMPTZ,
    ALTER COLUMN delivered_at DROP NOT NULL,
    ALTER COLUMN delivered_at DROP DEFAULT,
    ALTER COLUMN success DROP NOT NULL;

UPDATE webhook_deliveries
SET state = CASE WHEN success THEN 'succeeded' ELSE 'failed' END, event_id = id, created_at = delivered_at,
    scheduled_at = delivered_at, started_at = delivered_at;

ALTER TABLE webhook_deliveries
    ALTER COLUMN delivery_id DROP DEFAULT,
    ALTER COLUMN event_id SET NOT NULL,
    ADD CONSTRAINT webhook_deliveries_attempt_key UNIQUE (delivery_id, attempt),
    ADD CONSTRAINT webhook_deliveries_payload_check CHECK ((attempt = 1) = (payload IS NOT NULL)),
    ADD CONSTRAINT webhook_deliveries_success_check
        CHECK (success IS NOT DISTINCT FROM
               CASE state WHEN 'succeeded' THEN TRUE WHEN 'failed' THEN FALSE END);
DROP INDEX idx_webhook_deliveries_webhook;
CREATE INDEX idx_webhook_deliveries_webhook ON webhook_deliveries (webhook_id, created_at DESC, delivery_id DESC);
CREATE INDEX idx_webhook_deliveries_waiting ON webhook_deliveries (webhook_id, scheduled_at)
    WHERE state = 'pending' AND started_at IS NULL;
CREATE INDEX idx_webhook_deliveries_started ON webhook_deliveries (webhook_id, started_at)
    WHERE state = 'pending' AND started_at IS NOT NULL;
CREATE INDEX idx_webhook_deliveries_requested ON webhook_deliveries (webhook_id)
    WHERE state = 'pending' AND requested_by IS NOT NULL;
CREATE INDEX idx_webhook_deliveries_created ON webhook_deliveries (created_at);

-- -----------------------------------------------------------------------------
-- Statistics and usage
-- -----------------------------------------------------------------------------

-- Pushes and calls about branches keep the first five; the others are as of calculated_at.
COMMENT ON COLUMN repository_stats.commit_count IS 'commits';
COMMENT ON COLUMN repository_stats.branch_count IS 'branches, without shelves';
COMMENT ON COLUMN repository_stats.file_count IS 'distinct file contents in the live history (assets)';
COMMENT ON COLUMN repository_stats.logical_bytes IS 'bytes of those contents, each counted once';
COMMENT ON COLUMN repository_stats.last_activity_at IS 'last push; counted from the rows, also the last change of a branch or tag';
COMMENT ON COLUMN repository_stats.tag_count IS 'tags';
COMMENT ON COLUMN repository_stats.contributor_count IS 'e-mail addresses of authors, without regard to case';
COMMENT ON COLUMN repository_stats.chunk_count IS 'distinct chunks of those contents';
COMMENT ON COLUMN repository_stats.storage_bytes IS 'bytes of those chunks as they were sent';
COMMENT ON COLUMN repository_stats.dedup_ratio IS 'logical_bytes / storage_bytes; 1 when nothing is stored';
COMMENT ON COLUMN repository_stats.calculated_at IS 'when all was last counted from the rows';

ALTER TABLE usage_metrics
    ADD COLUMN received_bytes BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN sent_bytes BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN logical_bytes BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN apportioned_bytes BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN measured_at TIMESTAMPTZ;

COMMENT ON COLUMN usage_metrics.metric_date IS 'day in UTC, by the clock of the database';
COMMENT ON COLUMN usage_metrics.api_requests IS 'calls that were let in; 2^31 - 1 is as far as it counts';
COMMENT ON COLUMN usage_metrics.bandwidth_bytes IS 'received_bytes + sent_bytes';
COMMENT ON COLUMN usage_metrics.received_bytes IS 'bytes of request messages';
COMMENT ON COLUMN usage_metrics.sent_bytes IS 'bytes of response messages';
COMMENT ON COLUMN usage_metrics.push_count IS 'calls of Push that succeeded';
COMMENT ON COLUMN usage_metrics.pull_count IS 'calls of StreamTree that succeeded';
COMMENT ON COLUMN usage_metrics.unique_contributors IS 'users who pushed; set with the storage';
COMMENT ON COLUMN usage_metrics.storage_bytes IS 'as in repository_stats; of an owner, the sum over the repositories';
COMMENT ON COLUMN usage_metrics.logical_bytes IS 'as in repository_stats; of an owner, the sum over the repositories';
COMMENT ON COLUMN usage_metrics.apportioned_bytes IS
    'stored bytes of the chunks, each divided by the number of repositories of the same owner that use it';
COMMENT ON COLUMN usage_metrics.measured_at IS 'when the storage was measured; NULL = not yet';

-- What one entity used on one day.
CREATE TYPE usage_amounts AS (
    day DATE,
    entity_type TEXT,
    entity_id UUID,
    requests BIGINT,
    received_bytes BIGINT,
    sent_bytes BIGINT,
    pushes BIGINT,
    pulls BIGINT
);

-- The last batch of usage that each process of a service has recorded: a batch that is sent again, because the
-- answer was lost, is known by it.
CREATE TABLE usage_writers (
    writer_id UUID PRIMARY KEY,
    batch BIGINT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

-- -----------------------------------------------------------------------------
-- Changes of rights
-- -----------------------------------------------------------------------------

CREATE TRIGGER repository_collaborators_announce AFTER INSERT OR UPDATE OR DELETE ON repository_collaborators
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user_id');
CREATE TRIGGER team_repositories_announce AFTER INSERT OR UPDATE OR DELETE ON team_repositories
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('repo_id');
CREATE TRIGGER repositories_announce
    AFTER UPDATE OF name, visibility, archived, disabled, owner_type, owner_id, deleted_at ON repositories
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('id');

ALTER TABLE repository_collaborators ENABLE ALWAYS TRIGGER repository_collaborators_announce;
ALTER TABLE team_repositories ENABLE ALWAYS TRIGGER team_repositories_announce;
ALTER TABLE repositories ENABLE ALWAYS TRIGGER repositories_announce;

-- -----------------------------------------------------------------------------
-- Published for the other services
-- -----------------------------------------------------------------------------

-- Which repositories there are and whose. Deleted ones are shown: the reader decides what that means.
-- SELECT ... FOR KEY SHARE on it locks the repository itself.
CREATE VIEW repository_identities AS
SELECT id, owner_type, owner_id, name, visibility, archived, disabled, deleted_at, default_branch
FROM repositories;

-- The names that lead to a repository of an owner, its former ones too: look up `name_key = lower(...)`.
CREATE VIEW repository_names AS
SELECT owner_type, owner_id, lower(name) AS name_key, id AS repo_id FROM repositories WHERE deleted_at IS NULL
UNION ALL
SELECT owner_type, owner_id, name_key, repo_id FROM former_repository_names WHERE kept_until > clock_timestamp();

-- How much a repository may hold; 0 = as much as there is room for.
CREATE VIEW repository_storage_limits AS
SELECT repo_id, max_storage_bytes FROM repository_settings;

-- After how many days without a reader chunks move to colder places; NULL, and a class that is not there = the default.
CREATE VIEW repository_lifecycles AS
SELECT repo_id, lifecycle_policy FROM repository_settings;

-- Where the chunks of a repository are to lie. No row: wherever they are.
CREATE VIEW repository_regions AS
SELECT repo_id, regions, min_regions, replication_seconds FROM repository_settings WHERE regions <> '{}';

-- Rights that were granted on a repository, beyond those that follow from owning it.
CREATE VIEW repository_grants AS
SELECT repo_id, 'user' AS grantee_type, user_id AS grantee_id, permission FROM repository_collaborators
UNION ALL
SELECT repo_id, 'team', team_id, permission FROM team_repositories;
