-- Repositories, refs, history, webhooks, usage.
--
-- Cures:
--   * repository names were case-sensitive, and deletion was final: there is a deleted_at to undo it by;
--   * nothing checked that the owner of a repository exists, or stays;
--   * a branch or tag could name a commit that is not there, a commit a manifest that is not there;
--   * manifests.commit_hash looked as if a tree belonged to one commit; assets were not counted;
--   * webhooks belonged to repositories alone, had one secret, and could not be switched off for failing;
--   * webhook deliveries had no pending state, no attempts and no job;
--   * updated_at stood still on branches and webhooks, and moved with every push on repositories;
--   * "children of this commit" had an index that cannot answer it and breaks at some forty parents;
--     idx_repos_owner repeated a key; team_repositories had none by repository.
--
-- repository_settings.webhook_secret stays unused: each webhook has its own secret, encrypted, in webhooks.

-- -----------------------------------------------------------------------------
-- Repositories
-- -----------------------------------------------------------------------------

-- A deleted repository keeps its rows for the undo period and frees its name; undoing meets
-- repositories_owner_name_key if another repository took it meanwhile.
ALTER TABLE repositories
    DROP CONSTRAINT repositories_owner_type_owner_id_name_key,
    ALTER COLUMN name TYPE TEXT COLLATE "C",
    ADD COLUMN deleted_at TIMESTAMPTZ;
DROP INDEX idx_repos_owner;
CREATE UNIQUE INDEX repositories_owner_name_key ON repositories (owner_type, owner_id, lower(name))
    WHERE deleted_at IS NULL;
CREATE INDEX idx_repos_deleted ON repositories (deleted_at) WHERE deleted_at IS NOT NULL;

-- The two kinds of owner meet in namespaces, so the reference can be a real one: an owner with
-- repositories, deleted ones that wait for their purge included, cannot be removed.
ALTER TABLE repositories
    ADD CONSTRAINT repositories_owner_fkey
        FOREIGN KEY (owner_type, owner_id) REFERENCES namespaces (owner_type, owner_id);

CREATE INDEX idx_team_repositories_repo ON team_repositories (repo_id);

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

-- Names that Windows and macOS can store, and tell apart.
ALTER TABLE repository_settings ADD COLUMN portable_names BOOLEAN NOT NULL DEFAULT TRUE;

COMMENT ON COLUMN manifests.commit_hash IS 'the commit that first brought it; others may share it';
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
-- which replaces the index by time.
ALTER TABLE commits ALTER COLUMN repo_id SET STATISTICS 0;
ALTER TABLE manifests ALTER COLUMN repo_id SET STATISTICS 0;
ALTER TABLE assets ALTER COLUMN repo_id SET STATISTICS 0;
DROP INDEX idx_commits_time, idx_commits_author, idx_manifests_commit, idx_assets_mime;
CREATE INDEX idx_commits_author ON commits (author_email, repo_id);
CREATE INDEX idx_manifests_commit ON manifests (commit_hash, repo_id);
CREATE INDEX idx_assets_mime ON assets (mime_type, repo_id);

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

-- ref_count: live manifests of the repository that contain the asset; at 0 the row goes, and gives its
-- chunks back. recipe_hash: of size and chunk list as a manifest has them, so that one content cannot be
-- counted under two lists. Room on each page keeps the counting in place (HOT).
ALTER TABLE assets
    ALTER COLUMN hash TYPE TEXT COLLATE "C",
    ADD COLUMN ref_count INT NOT NULL DEFAULT 0 CHECK (ref_count >= 0),
    ADD COLUMN recipe_hash TEXT COLLATE "C" NOT NULL DEFAULT '',
    SET (fillfactor = 80);
ALTER TABLE assets ALTER COLUMN recipe_hash DROP DEFAULT;

-- A push is not a change of the repository's own data. A column added later belongs into this list.
DROP TRIGGER update_repositories_updated_at ON repositories;
CREATE TRIGGER update_repositories_updated_at
    BEFORE UPDATE OF name, description, owner_type, owner_id, visibility, default_branch, archived,
                     disabled, settings, deleted_at
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
CREATE INDEX idx_webhook_deliveries_created ON webhook_deliveries (created_at);

-- -----------------------------------------------------------------------------
-- Statistics and usage
-- -----------------------------------------------------------------------------

-- Pushes and calls about branches keep the first five; the others are as of calculated_at.
COMMENT ON COLUMN repository_stats.commit_count IS 'commits';
COMMENT ON COLUMN repository_stats.branch_count IS 'branches';
COMMENT ON COLUMN repository_stats.file_count IS 'distinct file contents in the live history (assets)';
COMMENT ON COLUMN repository_stats.logical_bytes IS 'bytes of those contents, each counted once';
COMMENT ON COLUMN repository_stats.last_activity_at IS 'last push; counted from the rows, also the last change of a branch or tag';
COMMENT ON COLUMN repository_stats.tag_count IS 'tags';
COMMENT ON COLUMN repository_stats.contributor_count IS 'e-mail addresses of authors, without regard to case';
COMMENT ON COLUMN repository_stats.chunk_count IS 'distinct chunks of those contents';
COMMENT ON COLUMN repository_stats.storage_bytes IS 'stored bytes of those chunks';
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
    'stored bytes of the chunks, each divided by the number of repositories that use it';
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
SELECT id, owner_type, owner_id, name, visibility, archived, disabled, deleted_at,
       default_branch, storage_bucket, storage_region
FROM repositories;

-- Rights that were granted on a repository, beyond those that follow from owning it.
CREATE VIEW repository_grants AS
SELECT repo_id, 'user' AS grantee_type, user_id AS grantee_id, permission FROM repository_collaborators
UNION ALL
SELECT repo_id, 'team', team_id, permission FROM team_repositories;
