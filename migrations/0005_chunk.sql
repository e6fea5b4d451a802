-- Chunks, who refers to them, and the packs that hold their bytes.
--
-- Cures:
--   * a chunk that was referenced again after its last reference went was still collected, because
--     delete_after stayed; counters could be below zero;
--   * a new chunk had no reference and no date, so it was collected at once or never;
--   * deleting a repository threw its chunk_refs away and left the counters high for ever;
--   * the existence of a chunk was a fact of the whole site: a repository now knows a chunk only through
--     its own chunk_refs row, which exists from the upload on, as a claim;
--   * nothing tied a row to the stored object that it points into;
--   * the storage index contained last_accessed_at, which every read changes, and nothing asks for it;
--     idx_chunks_refcount made each counting rewrite an index.
--
-- Five counters, each with one definition, true at every commit:
--   assets.ref_count      live manifests of the repository that contain the asset
--   chunk_refs.ref_count  assets of the repository whose recipe contains the chunk, without those that were obliterated,
--                         and released_lists that have not passed it; 0: a claim, it expires
--   chunks.ref_count      chunk_refs rows of the chunk, claims included; 0: garbage after delete_after
--   packs.live            chunks and chunk_locations rows that name the pack; 0 = the object is garbage
--   repository_storage    of the repository's chunk_refs rows: their number, the sizes of their chunks, and stored_size
--
-- Locks are taken in this order, in each table by key: repository, own open pack, manifests, assets,
-- chunks, chunk_refs, chunk_locations, sealed packs, branch. One statement locks and the next one works,
-- so that its snapshot sees what the locks waited for.

-- Byte order for every hash, and for foreign keys the same order on both sides.
ALTER TABLE chunk_refs DROP CONSTRAINT chunk_refs_chunk_hash_fkey;
ALTER TABLE chunk_locations DROP CONSTRAINT chunk_locations_chunk_hash_fkey;
ALTER TABLE chunks ALTER COLUMN hash TYPE TEXT COLLATE "C";
ALTER TABLE chunk_refs ALTER COLUMN chunk_hash TYPE TEXT COLLATE "C";
ALTER TABLE chunk_locations ALTER COLUMN chunk_hash TYPE TEXT COLLATE "C";

-- -----------------------------------------------------------------------------
-- Packs
-- -----------------------------------------------------------------------------

-- One immutable object of the store. Its key is fresh and never used again. The row is committed as 'open'
-- before the first byte is written, and sealed once, with the rows that point into it; from then on they
-- only get fewer, so live = 0 is final.
CREATE TABLE packs (
    key TEXT COLLATE "C" PRIMARY KEY CHECK (position('@' IN key) = 0),
    bucket TEXT NOT NULL,
    region TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'sealed')),
    live INT NOT NULL DEFAULT 0 CHECK (live >= 0),
    bytes BIGINT NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    verified_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT packs_sealed_check CHECK ((state = 'sealed') = (live > 0))
);

CREATE INDEX idx_packs_open ON packs (created_at) WHERE state = 'open';
CREATE INDEX idx_packs_verified ON packs (verified_at, key) WHERE state = 'sealed';

COMMENT ON COLUMN packs.verified_at IS 'when all of its chunks were last read and found intact, or it was written';

-- Objects that nothing names any more. Keys may repeat: a PUT that arrives late adds its own entry while
-- the reaper works on another.
CREATE TABLE object_deletions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    bytes BIGINT NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    not_before TIMESTAMPTZ NOT NULL
);

COMMENT ON COLUMN object_deletions.bytes IS 'size of the object if it is known, else 0';

CREATE INDEX idx_object_deletions_due ON object_deletions (not_before);
-- The inventory looks up what it lists.
CREATE INDEX idx_object_deletions_key ON object_deletions (key);

-- Rows from before the packs: each object becomes a pack.
INSERT INTO packs (key, bucket, region, state, live)
SELECT split_part(storage_key, '@', 1), min(bucket), min(region), 'sealed', count(*)
FROM (SELECT storage_key, storage_bucket AS bucket, 'default' AS region FROM chunks
      UNION ALL
      SELECT storage_key, bucket, region FROM chunk_locations) AS stored
GROUP BY 1;

-- -----------------------------------------------------------------------------
-- Chunks
-- -----------------------------------------------------------------------------

UPDATE chunks c
SET ref_count = (SELECT count(*) FROM chunk_refs r WHERE r.chunk_hash = c.hash);
UPDATE chunks
SET delete_after = CASE WHEN ref_count = 0 THEN coalesce(delete_after, now() + INTERVAL '30 days') END;

-- storage_key is `<pack key>@<offset>+<length>`.
ALTER TABLE chunks
    ADD COLUMN pack_key TEXT COLLATE "C" GENERATED ALWAYS AS (split_part(storage_key, '@', 1)) STORED,
    ADD COLUMN lost_at TIMESTAMPTZ,
    ADD CONSTRAINT chunks_ref_count_check CHECK (ref_count >= 0),
    ADD CONSTRAINT chunks_delete_after_check CHECK ((ref_count = 0) = (delete_after IS NOT NULL)),
    SET (fillfactor = 90);

COMMENT ON COLUMN chunks.lost_at IS 'when no good copy was found; the bytes may be offered again';
COMMENT ON COLUMN chunks.storage_class IS 'where it lies: no colder than the reference that wants it hottest';
COMMENT ON COLUMN chunks.archived_at IS 'since when it lies in a class that is not read at once';

DROP INDEX idx_chunks_refcount;
DROP INDEX idx_chunks_storage;
CREATE INDEX idx_chunks_pack ON chunks (pack_key);
CREATE INDEX idx_chunks_lost ON chunks (lost_at) WHERE lost_at IS NOT NULL;
CREATE INDEX idx_chunks_lost_hash ON chunks (hash) WHERE lost_at IS NOT NULL;

-- -----------------------------------------------------------------------------
-- References and copies
-- -----------------------------------------------------------------------------

-- A claim expires by claimed_at. That is a column of its own, because an index over ref_count = 0 would
-- make every push touch it: 10,000 chunks cost a third of the time and of the WAL without. Room on each
-- page keeps those updates in place (HOT). No cascade: a purge releases references batch by batch.
ALTER TABLE chunk_refs
    DROP CONSTRAINT chunk_refs_repo_id_fkey,
    ALTER COLUMN ref_count SET DEFAULT 0,
    ADD COLUMN claimed_at TIMESTAMPTZ,
    ADD COLUMN stored_size INT,
    ADD COLUMN encryption_key_id TEXT CHECK (encryption_key_id <> ''),
    ADD COLUMN storage_class TEXT CHECK (storage_class IN ('standard', 'infrequent', 'glacier', 'deep_archive')),
    ADD COLUMN restored_until TIMESTAMPTZ,
    SET (fillfactor = 80);

UPDATE chunk_refs SET ref_count = 0, claimed_at = clock_timestamp() WHERE ref_count <= 0;
UPDATE chunk_refs r SET stored_size = coalesce(c.compressed_size, c.size) FROM chunks c WHERE c.hash = r.chunk_hash;

ALTER TABLE chunk_refs
    -- In the index, claims of one time share an entry. An upload makes a hundred in a millisecond.
    ALTER COLUMN claimed_at SET DEFAULT date_trunc('milliseconds', clock_timestamp()),
    ALTER COLUMN stored_size SET NOT NULL,
    ADD CONSTRAINT chunk_refs_ref_count_check CHECK (ref_count >= 0),
    ADD CONSTRAINT chunk_refs_claimed_at_check CHECK ((ref_count = 0) = (claimed_at IS NOT NULL));

-- What a repository is told of its chunks is its own: how the bytes lie in the pack tells whether somebody stored them
-- before.
COMMENT ON COLUMN chunk_refs.stored_size IS 'bytes of the chunk as this repository sent it, compressed or not';
COMMENT ON COLUMN chunk_refs.encryption_key_id IS
    'key that the client has encrypted the chunk with, as this repository calls it; NULL = it is not encrypted';
COMMENT ON COLUMN chunk_refs.storage_class IS
    'where this repository wants it, and how it may read it; NULL = hot, until its policy moves it; standard = always hot';
COMMENT ON COLUMN chunk_refs.restored_until IS 'until when this repository may read a chunk of an archive class';
COMMENT ON COLUMN chunk_refs.last_seen_at IS 'when this repository last brought or read it, to a day';
COMMENT ON COLUMN chunks.encryption_key_id IS 'of the upload that brought it; what holds for a repository is in chunk_refs';

-- A repository that is younger than the statistics is no rows to them: see commits.
ALTER TABLE chunk_refs ALTER COLUMN repo_id SET STATISTICS 0;
CREATE INDEX idx_chunk_refs_claimed ON chunk_refs (repo_id, claimed_at) WHERE claimed_at IS NOT NULL;

CREATE INDEX idx_chunk_refs_tiered ON chunk_refs (repo_id, chunk_hash)
    WHERE storage_class IN ('infrequent', 'glacier', 'deep_archive');

-- Asked for equality alone: the hash of a hash takes a third of the room.
DROP INDEX idx_chunk_refs_hash;
CREATE INDEX idx_chunk_refs_hash ON chunk_refs USING hash (chunk_hash);

-- What each repository holds: the chunks that it refers to, claims included. held_bytes are their uncompressed sizes: a
-- chunk that is stored again may be compressed differently. Kept by triggers, so that it is true at every commit. The
-- counting takes each chunk by its key: a plan that was made for few rows must not read the whole table for many.
CREATE TABLE repository_storage (
    repo_id UUID PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    held_bytes BIGINT NOT NULL CHECK (held_bytes >= 0),
    stored_bytes BIGINT NOT NULL CHECK (stored_bytes >= 0),
    chunk_count BIGINT NOT NULL CHECK (chunk_count >= 0),
    additions BIGINT NOT NULL DEFAULT 1,
    erasures BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

COMMENT ON COLUMN repository_storage.stored_bytes IS 'sum of chunk_refs.stored_size';
COMMENT ON COLUMN repository_storage.erasures IS 'how often chunks went without having been a claim';
COMMENT ON COLUMN repository_storage.additions IS 'how often chunks were added; as long as it stays, what was absent is';

INSERT INTO repository_storage (repo_id, held_bytes, stored_bytes, chunk_count)
SELECT r.repo_id, sum(c.size), sum(r.stored_size), count(*)
FROM chunk_refs r JOIN chunks c ON c.hash = r.chunk_hash
GROUP BY r.repo_id;

-- Room that uploads under way have asked for and not filled yet, where there is a limit. A row ends with its call; one whose
-- server has died ends by itself.
CREATE TABLE storage_reservations (
    id UUID PRIMARY KEY,
    repo_id UUID NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    byte_count BIGINT NOT NULL CHECK (byte_count >= 0),
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX idx_storage_reservations_repo ON storage_reservations (repo_id);

CREATE FUNCTION add_held_bytes()
RETURNS TRIGGER
LANGUAGE plpgsql
SET enable_seqscan = 'off' SET enable_hashjoin = 'off' SET enable_mergejoin = 'off'
AS $$
DECLARE
    v_added RECORD;
BEGIN
    FOR v_added IN
        SELECT n.repo_id, sum(c.size) AS size, sum(n.stored_size) AS stored, count(*) AS count,
               min(n.chunk_hash) FILTER (WHERE c.hash IS NULL) AS absent
        FROM changed n LEFT JOIN LATERAL (SELECT hash, size FROM chunks WHERE hash = n.chunk_hash OFFSET 0) c ON TRUE
        GROUP BY n.repo_id ORDER BY n.repo_id
    LOOP
        IF v_added.absent IS NOT NULL THEN
            PERFORM refuse_reference('chunk_refs_chunk_hash_fkey', v_added.absent);
        END IF;
        INSERT INTO repository_storage AS s (repo_id, held_bytes, stored_bytes, chunk_count)
        VALUES (v_added.repo_id, v_added.size, v_added.stored, v_added.count)
        ON CONFLICT (repo_id) DO UPDATE
        SET held_bytes = s.held_bytes + excluded.held_bytes, stored_bytes = s.stored_bytes + excluded.stored_bytes,
            chunk_count = s.chunk_count + excluded.chunk_count, additions = s.additions + 1;
    END LOOP;
    RETURN NULL;
END;
$$;

CREATE FUNCTION subtract_held_bytes()
RETURNS TRIGGER
LANGUAGE plpgsql
SET enable_seqscan = 'off' SET enable_hashjoin = 'off' SET enable_mergejoin = 'off'
AS $$
BEGIN
    PERFORM FROM repository_storage WHERE repo_id IN (SELECT o.repo_id FROM changed o)
    ORDER BY repo_id FOR NO KEY UPDATE;
    UPDATE repository_storage s
    SET held_bytes = s.held_bytes - d.size, stored_bytes = s.stored_bytes - d.stored,
        chunk_count = s.chunk_count - d.count
    FROM (SELECT o.repo_id, sum(c.size) AS size, sum(o.stored_size) AS stored, count(*) AS count
          FROM changed o CROSS JOIN LATERAL (SELECT size FROM chunks WHERE hash = o.chunk_hash OFFSET 0) c
          GROUP BY o.repo_id) d
    WHERE s.repo_id = d.repo_id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER chunk_refs_add_held_bytes AFTER INSERT ON chunk_refs
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION add_held_bytes();
CREATE TRIGGER chunk_refs_subtract_held_bytes AFTER DELETE ON chunk_refs
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION subtract_held_bytes();

-- The other sides of what foreign keys would say (0002). That a repository is there says its row of
-- repository_storage, which has a foreign key: an insert of references adds or changes that row, and it stays as long
-- as there are references.
CREATE FUNCTION keep_named_chunks()
RETURNS TRIGGER
LANGUAGE plpgsql
SET enable_seqscan = 'off' SET enable_hashjoin = 'off' SET enable_mergejoin = 'off'
AS $$
DECLARE
    v_named TEXT := (SELECT o.hash FROM changed o
                     WHERE EXISTS (SELECT FROM chunk_refs r WHERE r.chunk_hash = o.hash OFFSET 0) LIMIT 1);
    v_copied TEXT := (SELECT o.hash FROM changed o
                      WHERE EXISTS (SELECT FROM chunk_locations l WHERE l.chunk_hash = o.hash OFFSET 0) LIMIT 1);
BEGIN
    IF v_named IS NOT NULL THEN
        PERFORM refuse_reference('chunk_refs_chunk_hash_fkey', v_named);
    END IF;
    IF v_copied IS NOT NULL THEN
        PERFORM refuse_reference('chunk_locations_chunk_hash_fkey', v_copied);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION require_chunks_of_copies()
RETURNS TRIGGER
LANGUAGE plpgsql
SET enable_seqscan = 'off' SET enable_hashjoin = 'off' SET enable_mergejoin = 'off'
AS $$
DECLARE
    v_absent TEXT := (SELECT min(n.chunk_hash) FROM changed n
                      WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.hash = n.chunk_hash OFFSET 0));
BEGIN
    IF v_absent IS NOT NULL THEN
        PERFORM refuse_reference('chunk_locations_chunk_hash_fkey', v_absent);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION keep_held_repository()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM chunk_refs WHERE repo_id = OLD.repo_id) THEN
        PERFORM refuse_reference('chunk_refs_repo_id_fkey', OLD.repo_id::text);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION require_pack_of_chunk()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM packs WHERE key = NEW.pack_key) THEN
        PERFORM refuse_reference('chunks_pack_fkey', NEW.pack_key);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION require_packs_of_chunks()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
DECLARE
    v_absent TEXT := (SELECT min(d.pack_key) FROM (SELECT DISTINCT pack_key FROM changed) d
                      WHERE NOT EXISTS (SELECT FROM packs p WHERE p.key = d.pack_key OFFSET 0));
BEGIN
    IF v_absent IS NOT NULL THEN
        PERFORM refuse_reference('chunks_pack_fkey', v_absent);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION keep_named_pack()
RETURNS TRIGGER
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM chunks WHERE pack_key = OLD.key) THEN
        PERFORM refuse_reference('chunks_pack_fkey', OLD.key);
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER chunk_refs_keep_keys BEFORE UPDATE OF repo_id, chunk_hash ON chunk_refs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_new_keys();
CREATE TRIGGER chunk_locations_keep_keys BEFORE UPDATE OF chunk_hash ON chunk_locations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_new_keys();
CREATE TRIGGER chunk_locations_require_chunks AFTER INSERT ON chunk_locations
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_chunks_of_copies();
CREATE TRIGGER chunks_keep_keys BEFORE UPDATE OF hash ON chunks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_new_keys();
CREATE TRIGGER packs_keep_keys BEFORE UPDATE OF key ON packs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_new_keys();
CREATE TRIGGER chunks_keep_named AFTER DELETE ON chunks
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION keep_named_chunks();
CREATE TRIGGER repository_storage_keep_held AFTER DELETE ON repository_storage
    FOR EACH ROW EXECUTE FUNCTION keep_held_repository();
CREATE TRIGGER chunks_require_packs AFTER INSERT ON chunks
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_packs_of_chunks();
CREATE TRIGGER chunks_require_pack AFTER UPDATE OF storage_key ON chunks
    FOR EACH ROW WHEN (OLD.pack_key IS DISTINCT FROM NEW.pack_key) EXECUTE FUNCTION require_pack_of_chunk();
CREATE TRIGGER packs_keep_named AFTER DELETE ON packs
    FOR EACH ROW EXECUTE FUNCTION keep_named_pack();

-- Chunk lists of large files that no repository's history has any more, or that were obliterated. Their recipes have to be
-- read before the chunks in them can be released, in the order of their hashes and the recipes last; what is not released yet
-- is counted as if the file were there. So is what a lift has taken for an obliterated file, up to taken_to: it goes back when
-- nobody goes on with the lift for an hour.
CREATE TABLE released_lists (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repo_id UUID NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    recipe_hashes BYTEA NOT NULL,
    released_to TEXT COLLATE "C" NOT NULL DEFAULT '',
    erased_content TEXT COLLATE "C",
    taken_to TEXT COLLATE "C",
    lift_ends_at TIMESTAMPTZ,
    CONSTRAINT released_lists_lift_check CHECK ((taken_to IS NULL) = (lift_ends_at IS NULL))
);
CREATE INDEX idx_released_lists_repo ON released_lists (repo_id, erased_content);
COMMENT ON COLUMN released_lists.recipe_hashes IS 'packed, in order, as the file had them';
COMMENT ON COLUMN released_lists.released_to IS 'the chunks up to this hash are released, but for the recipes';
COMMENT ON COLUMN released_lists.erased_content IS 'the content that was obliterated; NULL = its chunks become claims';
COMMENT ON COLUMN released_lists.taken_to IS 'a lift has taken the recipes and the chunks up to this hash; NULL = the list is no lift';
COMMENT ON COLUMN released_lists.lift_ends_at IS 'until then nothing of the content is erased; each batch of the lift moves it';

-- No cascade to copies: one that went with its chunk would not be subtracted from its pack. Nor a foreign key, which the
-- collection would ask for each chunk that it deletes: that took a third of its processor time.
ALTER TABLE chunk_locations
    ADD COLUMN pack_key TEXT COLLATE "C" GENERATED ALWAYS AS (split_part(storage_key, '@', 1)) STORED
        CONSTRAINT chunk_locations_pack_fkey REFERENCES packs (key);
CREATE INDEX idx_chunk_locations_pack ON chunk_locations (pack_key);

-- Copies that are to be made: chunks that a repository wants in a region. A chunk that comes to the repository is queued for each
-- region of its policy, also where the bytes are already: whether somebody else has brought them there does not show. No
-- foreign keys: rows of what is gone go with the next replication.
CREATE TABLE due_copies (
    region TEXT NOT NULL,
    chunk_hash TEXT COLLATE "C" NOT NULL,
    repo_id UUID NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (region, chunk_hash, repo_id)
);
CREATE INDEX idx_due_copies_due ON due_copies (region, due_at, chunk_hash);
CREATE INDEX idx_due_copies_repo ON due_copies (repo_id, region);

-- -----------------------------------------------------------------------------
-- Erasure
-- -----------------------------------------------------------------------------

-- A chunk that goes leaves its bytes in its pack, and an upload of a chunk that was there already left some in another
-- one, to which no row ever pointed. So a pack keeps the prints of all chunks that were written into it: what an
-- obliteration removes is found wherever it lies.
CREATE FUNCTION chunk_print(p_hash TEXT)
RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ('x' || left(p_hash, 16))::bit(64)::BIGINT $$;

ALTER TABLE packs ADD COLUMN prints BIGINT[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN packs.prints IS 'chunk_print of each chunk that was written into the pack, whether or not a row names it';

-- Chunks of obliterated contents. Once no repository has one, and the collection has deleted its row, compaction rewrites
-- the packs that hold its bytes. A row stays, so that the bytes go again if they are uploaded again and refused.
CREATE TABLE chunk_erasures (
    chunk_hash TEXT COLLATE "C" PRIMARY KEY,
    deleted_at TIMESTAMPTZ
);

CREATE INDEX idx_chunk_erasures_due ON chunk_erasures (deleted_at) WHERE deleted_at IS NOT NULL;
COMMENT ON COLUMN chunk_erasures.deleted_at IS 'when the collection deleted the chunk; NULL = it has not, or no pack holds its bytes';

-- -----------------------------------------------------------------------------
-- Direct transfer
-- -----------------------------------------------------------------------------

-- Objects that clients may put into the store. Each has an open row of packs, so that nothing forgets it; it never becomes a
-- pack: whoever may put it, may put it again. What was confirmed is told again to who asks again.
CREATE TABLE pack_uploads (
    id UUID PRIMARY KEY,
    repo_id UUID NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    user_id UUID NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    bucket TEXT NOT NULL,
    byte_count BIGINT NOT NULL CHECK (byte_count > 0),
    expires_at TIMESTAMPTZ NOT NULL,
    confirmed_at TIMESTAMPTZ,
    stored_chunk_count INT NOT NULL DEFAULT 0,
    stored_bytes BIGINT NOT NULL DEFAULT 0,
    conflicts BYTEA NOT NULL DEFAULT ''
);

CREATE INDEX idx_pack_uploads_user ON pack_uploads (user_id, expires_at);
CREATE INDEX idx_pack_uploads_expires ON pack_uploads (expires_at);

-- -----------------------------------------------------------------------------
-- Tiers
-- -----------------------------------------------------------------------------

-- Chunks of archive classes that a repository wants to read again. A job waits for the store, and says then until when
-- they can be read.
CREATE TABLE chunk_restores (
    id UUID PRIMARY KEY,
    repo_id UUID NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    job_id UUID NOT NULL,
    requested_by UUID,
    hashes BYTEA NOT NULL,
    is_permanent BOOLEAN NOT NULL,
    chunk_count INT NOT NULL,
    stored_bytes BIGINT NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    expected_at TIMESTAMPTZ NOT NULL,
    restored_at TIMESTAMPTZ,
    restored_until TIMESTAMPTZ
);

CREATE INDEX idx_chunk_restores_repo ON chunk_restores (repo_id, expected_at) WHERE restored_at IS NULL;
CREATE INDEX idx_chunk_restores_expected ON chunk_restores (expected_at);
COMMENT ON COLUMN chunk_restores.hashes IS 'of the chunks, packed';
COMMENT ON COLUMN chunk_restores.is_permanent IS 'whether they become hot, and not only readable for a while';

-- -----------------------------------------------------------------------------
-- Maintenance
-- -----------------------------------------------------------------------------

-- The record of each run of the maintenance. One of a kind is under way at a time; one that was not renewed for
-- minutes has lost its server, and gives way. report: the JSON of dits.chunk.v1.MaintenanceReport.
CREATE TABLE maintenance_runs (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    kind TEXT NOT NULL,
    job_id UUID NOT NULL,
    requested_by UUID,
    outcome TEXT NOT NULL DEFAULT 'running'
        CHECK (outcome IN ('running', 'completed', 'refused', 'failed', 'cancelled', 'interrupted')),
    started_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    renewed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    ended_at TIMESTAMPTZ,
    report JSONB NOT NULL DEFAULT '{}',
    CONSTRAINT maintenance_runs_ended_check CHECK ((outcome = 'running') = (ended_at IS NULL))
);

CREATE UNIQUE INDEX maintenance_runs_running_key ON maintenance_runs (kind) WHERE ended_at IS NULL;
CREATE INDEX idx_maintenance_runs_started ON maintenance_runs (started_at, id);

-- -----------------------------------------------------------------------------
-- Stores
-- -----------------------------------------------------------------------------

-- The places where the objects of a bucket lie: each has its id in an object of its own. A server that finds another id,
-- or none, has the wrong store before it, or none, and calls nothing in it lost.
CREATE TABLE stores (
    bucket TEXT NOT NULL,
    id UUID NOT NULL,
    location TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bucket, id),
    -- Packs name the bucket: a store goes by one name.
    CONSTRAINT stores_id_key UNIQUE (id)
);

COMMENT ON COLUMN stores.location IS 'where it was when it was first used, for people';

-- What this database has written into stores to say that it may delete there. The store holds one of them, so that a copy
-- of the database of another moment knows that it is none of its own. They stay when a store is not used any more.
CREATE TABLE store_stamps (
    store_id UUID PRIMARY KEY,
    stamps UUID[] NOT NULL CHECK (cardinality(stamps) BETWEEN 1 AND 16),
    stamped_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON COLUMN store_stamps.stamps IS 'the newest last: the store holds it, or is about to';

-- -----------------------------------------------------------------------------
-- Published for the other services
-- -----------------------------------------------------------------------------

-- The regions that there are: those whose store was used. A tier is a bucket of its own, `region.class`.
CREATE VIEW store_regions AS
SELECT DISTINCT split_part(bucket, '.', 1) AS region FROM stores;

-- How much of a sealed pack is still named: what compaction goes by, since live counts rows, not bytes.
CREATE VIEW pack_usage AS
SELECT p.key, p.bucket, p.region, p.live, p.bytes, p.created_at,
       (SELECT coalesce(sum(nullif(split_part(named.storage_key, '+', 2), '')::BIGINT), 0)::BIGINT
        FROM (SELECT c.storage_key FROM chunks c WHERE c.pack_key = p.key
              UNION ALL
              SELECT l.storage_key FROM chunk_locations l WHERE l.pack_key = p.key) AS named) AS live_bytes
FROM packs p
WHERE p.state = 'sealed';
