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
--   * the storage index contained last_accessed_at, which every read changes; idx_chunks_refcount made
--     each counting rewrite an index; chunk_locations had no index by region.
--
-- Four counters, each with one definition, true at every commit:
--   assets.ref_count      live manifests of the repository that contain the asset
--   chunk_refs.ref_count  assets of the repository whose recipe contains the chunk; 0: a claim, it expires
--   chunks.ref_count      chunk_refs rows of the chunk, claims included; 0: garbage after delete_after
--   packs.live            chunks and chunk_locations rows that name the pack; 0 = the object is garbage
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
    CONSTRAINT packs_sealed_check CHECK ((state = 'sealed') = (live > 0))
);

CREATE INDEX idx_packs_open ON packs (created_at) WHERE state = 'open';

-- Objects that nothing names any more. Keys may repeat: a PUT that arrives late adds its own entry while
-- the reaper works on another.
CREATE TABLE object_deletions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    not_before TIMESTAMPTZ NOT NULL
);

CREATE INDEX idx_object_deletions_due ON object_deletions (not_before);

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

-- storage_key is `<pack key>@<offset>+<length>`. The reference to packs costs about 3 microseconds a row
-- and turns a counter that drifts into an error instead of lost data.
ALTER TABLE chunks
    ADD COLUMN pack_key TEXT COLLATE "C" GENERATED ALWAYS AS (split_part(storage_key, '@', 1)) STORED
        CONSTRAINT chunks_pack_fkey REFERENCES packs (key),
    ADD COLUMN lost_at TIMESTAMPTZ,
    ADD COLUMN restored_until TIMESTAMPTZ,
    ADD CONSTRAINT chunks_ref_count_check CHECK (ref_count >= 0),
    ADD CONSTRAINT chunks_delete_after_check CHECK ((ref_count = 0) = (delete_after IS NOT NULL)),
    SET (fillfactor = 90);

COMMENT ON COLUMN chunks.lost_at IS 'when no good copy was found; the bytes may be offered again';
COMMENT ON COLUMN chunks.restored_until IS 'until when a chunk of an archive class can be read';

DROP INDEX idx_chunks_refcount;
DROP INDEX idx_chunks_storage;
CREATE INDEX idx_chunks_storage ON chunks (storage_class, created_at);
CREATE INDEX idx_chunks_pack ON chunks (pack_key);
CREATE INDEX idx_chunks_lost ON chunks (lost_at) WHERE lost_at IS NOT NULL;
CREATE INDEX idx_chunks_restored ON chunks (restored_until) WHERE restored_until IS NOT NULL;

-- -----------------------------------------------------------------------------
-- References and copies
-- -----------------------------------------------------------------------------

-- A claim expires by claimed_at. That is a column of its own, because an index over ref_count = 0 would
-- make every push touch it: 10,000 chunks cost a third of the time and of the WAL without. Room on each
-- page keeps those updates in place (HOT). No cascade: a purge releases references batch by batch.
ALTER TABLE chunk_refs
    DROP CONSTRAINT chunk_refs_repo_id_fkey,
    ADD CONSTRAINT chunk_refs_repo_id_fkey FOREIGN KEY (repo_id) REFERENCES repositories (id),
    ADD CONSTRAINT chunk_refs_chunk_hash_fkey FOREIGN KEY (chunk_hash) REFERENCES chunks (hash),
    ALTER COLUMN ref_count SET DEFAULT 0,
    ADD COLUMN claimed_at TIMESTAMPTZ,
    SET (fillfactor = 80);

UPDATE chunk_refs SET ref_count = 0, claimed_at = clock_timestamp() WHERE ref_count <= 0;

ALTER TABLE chunk_refs
    ALTER COLUMN claimed_at SET DEFAULT clock_timestamp(),
    ADD CONSTRAINT chunk_refs_ref_count_check CHECK (ref_count >= 0),
    ADD CONSTRAINT chunk_refs_claimed_at_check CHECK ((ref_count = 0) = (claimed_at IS NOT NULL));

-- A repository that is younger than the statistics is no rows to them: see commits.
ALTER TABLE chunk_refs ALTER COLUMN repo_id SET STATISTICS 0;
CREATE INDEX idx_chunk_refs_claimed ON chunk_refs (claimed_at) WHERE claimed_at IS NOT NULL;

-- No cascade here either: a copy that went with its chunk would not be subtracted from its pack.
ALTER TABLE chunk_locations
    ADD COLUMN pack_key TEXT COLLATE "C" GENERATED ALWAYS AS (split_part(storage_key, '@', 1)) STORED
        CONSTRAINT chunk_locations_pack_fkey REFERENCES packs (key),
    ADD CONSTRAINT chunk_locations_chunk_hash_fkey FOREIGN KEY (chunk_hash) REFERENCES chunks (hash);
CREATE INDEX idx_chunk_locations_pack ON chunk_locations (pack_key);
CREATE INDEX idx_chunk_locations_region ON chunk_locations (region, chunk_hash);

-- -----------------------------------------------------------------------------
-- Published for the other services
-- -----------------------------------------------------------------------------

-- How much of a sealed pack is still named: what compaction goes by, since live counts rows, not bytes.
CREATE VIEW pack_usage AS
SELECT p.key, p.bucket, p.region, p.live, p.bytes, p.created_at,
       (SELECT coalesce(sum(nullif(split_part(named.storage_key, '+', 2), '')::BIGINT), 0)::BIGINT
        FROM (SELECT c.storage_key FROM chunks c WHERE c.pack_key = p.key
              UNION ALL
              SELECT l.storage_key FROM chunk_locations l WHERE l.pack_key = p.key) AS named) AS live_bytes
FROM packs p
WHERE p.state = 'sealed';
