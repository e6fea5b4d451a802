-- File locks.
--
-- Cures:
--   * one row per path forbade two shared locks, and an expired row kept the next owner out;
--   * a holder who had lost the lock could not be told from the present one: locks have fences;
--   * times came from now(), the start of a transaction that may have waited long for the locks;
--   * the history could end a lock twice, and did not say what kind of lock it was;
--   * a path of more than 2.7 KB failed in the index: it ends at 1,024 bytes;
--   * questions that locks and their history are asked had no index.

-- -----------------------------------------------------------------------------
-- Locks
-- -----------------------------------------------------------------------------

-- What belongs to a repository's locks as a whole, written only under their mutex: the latest time that
-- take_lock_mutex() has given out, and the highest fence.
CREATE TABLE lock_clocks (
    repo_id UUID PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    high_water TIMESTAMPTZ NOT NULL,
    fence BIGINT NOT NULL DEFAULT 0 CHECK (fence >= 0)
);

-- Locks from before the fences are numbered by age.
ALTER TABLE locks ADD COLUMN fence BIGINT;
UPDATE locks l
SET fence = n.fence
FROM (SELECT id, row_number() OVER (PARTITION BY repo_id ORDER BY locked_at, id) AS fence FROM locks) n
WHERE l.id = n.id;
INSERT INTO lock_clocks (repo_id, high_water, fence)
SELECT repo_id, max(locked_at), max(fence) FROM locks GROUP BY repo_id;

-- fence: rises with every lock granted in a repository; a writer shows it to prove that it still holds.
-- excl_key: what makes two locks incompatible is that it differs, so shared locks (0) agree with each
-- other, and an exclusive one (its fence) with nothing. path_key: a number for a path of a repository.
-- locked_at has no default: only take_lock_mutex() knows the time.
--
-- A lock is named within its repository. The key begins with id: with repo_id first, it costs the same as the
-- index on (repo_id, path) to a planner that knows no locks, and questions about a path read all locks of
-- the repository by it.
ALTER TABLE locks
    DROP CONSTRAINT locks_pkey,
    ADD CONSTRAINT locks_pkey PRIMARY KEY (id, repo_id),
    DROP CONSTRAINT locks_repo_id_path_key,
    ALTER COLUMN path TYPE TEXT COLLATE "C",
    ALTER COLUMN locked_at DROP DEFAULT,
    ALTER COLUMN fence SET NOT NULL,
    ADD COLUMN release_on_push BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN warned_at TIMESTAMPTZ,
    ADD COLUMN excl_key BIGINT
        GENERATED ALWAYS AS (CASE lock_type WHEN 'exclusive' THEN fence ELSE 0 END) STORED,
    ADD COLUMN path_key BIGINT
        GENERATED ALWAYS AS (hashtextextended(path, uuid_hash_extended(repo_id, 0))) STORED,
    ADD CONSTRAINT locks_path_check CHECK (octet_length(path) BETWEEN 1 AND 1024),
    ADD CONSTRAINT locks_expires_at_check CHECK (expires_at > locked_at);

COMMENT ON COLUMN locks.warned_at IS 'when the owner was told that the lock is about to expire';

-- Incompatible locks never overlap in time. A lock that has expired does not stand in the way, swept or
-- not. Advisory locks are for showing and conflict with nothing.
--
-- The order of the columns suits GiST: where a new entry goes is decided by the first one, and it decides
-- on a number in a fraction of the time that it takes for a text. Paths that share a number are still told
-- apart, by what follows.
ALTER TABLE locks
    ADD CONSTRAINT locks_no_overlap EXCLUDE USING gist (
        path_key WITH =,
        excl_key WITH <>,
        tstzrange(locked_at, expires_at) WITH &&,
        repo_id WITH =,
        path WITH =
    ) WHERE (lock_type <> 'advisory');

-- In byte order, so it serves prefixes: everything below `dir/` is path >= 'dir/' AND path < 'dir0'. It is
-- the only index that begins with repo_id: what has expired in a repository is found by idx_locks_expires.
CREATE INDEX idx_locks_path ON locks (repo_id, path);

-- The locks of a user: in one repository by path, or in all of them.
DROP INDEX idx_locks_owner;
CREATE INDEX idx_locks_owner ON locks (owner_id, repo_id, path);

-- What locks have in common that are granted together.
CREATE TYPE lock_terms AS (
    holder_id UUID,
    lock_type TEXT,
    reason TEXT,
    base_commit TEXT,
    release_on_push BOOLEAN
);

-- How locks end that did not expire: the event and the action of the history that say so, who did it, and why.
CREATE TYPE lock_end AS (
    event TEXT,
    action TEXT,
    actor_id UUID,
    reason TEXT
);

-- -----------------------------------------------------------------------------
-- History
-- -----------------------------------------------------------------------------

-- No reference to repositories: what happened stays known when they are gone. Each lock begins once and
-- ends once. Keys begin as that of locks does.
ALTER TABLE lock_history
    DROP CONSTRAINT lock_history_pkey,
    ADD CONSTRAINT lock_history_pkey PRIMARY KEY (id, repo_id),
    ALTER COLUMN path TYPE TEXT COLLATE "C",
    ALTER COLUMN action_at DROP DEFAULT,
    ADD COLUMN fence BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN lock_type TEXT NOT NULL DEFAULT 'exclusive'
        CHECK (lock_type IN ('exclusive', 'advisory', 'shared')),
    ADD COLUMN expires_at TIMESTAMPTZ,
    ADD CONSTRAINT lock_history_path_check CHECK (octet_length(path) BETWEEN 1 AND 1024);
ALTER TABLE lock_history
    ALTER COLUMN fence DROP DEFAULT,
    ALTER COLUMN lock_type DROP DEFAULT;

CREATE UNIQUE INDEX lock_history_one_start ON lock_history (lock_id, repo_id) WHERE action = 'acquired';
CREATE UNIQUE INDEX lock_history_one_end ON lock_history (lock_id, repo_id) WHERE action <> 'acquired';

-- The history in its order, which fence and action complete: of a repository, of a path, of a user. A lock
-- begins and ends at most once, and 'acquired' sorts before all that ends it.
DROP INDEX idx_lock_history_repo;
DROP INDEX idx_lock_history_path;
CREATE INDEX idx_lock_history_repo ON lock_history (repo_id, action_at, fence, action);
CREATE INDEX idx_lock_history_path ON lock_history (repo_id, path, action_at, fence, action);
CREATE INDEX idx_lock_history_owner ON lock_history (repo_id, owner_id, action_at, fence, action);
