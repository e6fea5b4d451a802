-- Chunks, who refers to them, and the packs that hold their bytes.
--
-- Cures:
--   * a chunk that was referenced again after its last reference went was still collected, because
--     delete_after stayed; releasing too often was hidden; an unknown hash was ignored; each release
--     postponed collection;
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

CREATE INDEX idx_chunk_refs_claimed ON chunk_refs (claimed_at) WHERE claimed_at IS NOT NULL;

-- No cascade here either: a copy that went with its chunk would not be subtracted from its pack.
ALTER TABLE chunk_locations
    ADD COLUMN pack_key TEXT COLLATE "C" GENERATED ALWAYS AS (split_part(storage_key, '@', 1)) STORED
        CONSTRAINT chunk_locations_pack_fkey REFERENCES packs (key),
    ADD CONSTRAINT chunk_locations_chunk_hash_fkey FOREIGN KEY (chunk_hash) REFERENCES chunks (hash);
CREATE INDEX idx_chunk_locations_pack ON chunk_locations (pack_key);
CREATE INDEX idx_chunk_locations_region ON chunk_locations (region, chunk_hash);

-- -----------------------------------------------------------------------------
-- Counting
-- -----------------------------------------------------------------------------

-- The specification's two functions, one chunk per call, corrected. The services count sets of chunks
-- inside their own statements, and a call from elsewhere would break the definition of
-- chunks.ref_count, so nobody but the owner of the schema may call them.
CREATE OR REPLACE FUNCTION increment_chunk_ref(p_hash TEXT)
RETURNS VOID
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE chunks SET ref_count = ref_count + 1, delete_after = NULL WHERE hash = p_hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no chunk %', p_hash USING ERRCODE = 'no_data_found';
    END IF;
END;
$$;

CREATE OR REPLACE FUNCTION decrement_chunk_ref(p_hash TEXT)
RETURNS VOID
LANGUAGE plpgsql
AS $$
DECLARE
    v_count INT;
BEGIN
    SELECT ref_count INTO v_count FROM chunks WHERE hash = p_hash FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no chunk %', p_hash USING ERRCODE = 'no_data_found';
    ELSIF v_count = 0 THEN
        RAISE EXCEPTION 'chunk % has no reference to release', p_hash USING ERRCODE = 'check_violation';
    END IF;
    UPDATE chunks
    SET ref_count = v_count - 1,
        delete_after = CASE WHEN v_count = 1 THEN clock_timestamp() + INTERVAL '30 days' END
    WHERE hash = p_hash;
END;
$$;

REVOKE EXECUTE ON FUNCTION increment_chunk_ref(TEXT), decrement_chunk_ref(TEXT) FROM PUBLIC;

-- -----------------------------------------------------------------------------
-- Published for the other services
-- -----------------------------------------------------------------------------

-- The gate of a push: adds p_counts[i] references to chunk p_hashes[i] in the repository and returns an
-- empty array, or changes nothing and returns the hashes that the repository does not hold. Hashes are
-- distinct. The caller has locked the repository row, the manifests and the assets before.
--
-- VOLATILE matters: each statement then sees what was committed before it started, so the second one
-- works on the rows that the first one waited for. What is missing is told from the rows that were locked
-- and from nothing else: a claim that appeared since would be counted out of the order of locks.
CREATE FUNCTION reference_chunks(p_repo_id UUID, p_hashes TEXT[], p_counts INT[])
RETURNS TEXT[]
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_locked TEXT[];
    v_missing TEXT[];
    v_rows INT;
BEGIN
    v_locked := ARRAY(
        SELECT chunk_hash FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
        ORDER BY chunk_hash
        FOR NO KEY UPDATE);
    v_missing := ARRAY(SELECT unnest(p_hashes) EXCEPT SELECT unnest(v_locked) ORDER BY 1);
    IF cardinality(v_missing) > 0 THEN
        RETURN v_missing;
    END IF;

    UPDATE chunk_refs r
    SET ref_count = r.ref_count + d.n, claimed_at = NULL, last_seen_at = clock_timestamp()
    FROM unnest(p_hashes, p_counts) AS d (hash, n)
    WHERE r.repo_id = p_repo_id AND r.chunk_hash = d.hash;

    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'counted % of % chunks: hashes must be distinct', v_rows, cardinality(p_hashes)
            USING ERRCODE = 'cardinality_violation';
    END IF;
    RETURN '{}';
END;
$$;

-- The way back, when assets go: takes p_counts[i] references from chunk p_hashes[i]. What reaches 0 is a
-- claim again and expires as one. A row that is not there, or has fewer, means that counters drifted: it
-- raises, and the caller's transaction must not be committed.
CREATE FUNCTION release_chunks(p_repo_id UUID, p_hashes TEXT[], p_counts INT[])
RETURNS VOID
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_rows INT;
BEGIN
    PERFORM FROM chunk_refs
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
    ORDER BY chunk_hash
    FOR NO KEY UPDATE;

    UPDATE chunk_refs r
    SET ref_count = r.ref_count - d.n,
        claimed_at = CASE WHEN r.ref_count = d.n THEN clock_timestamp() END
    FROM unnest(p_hashes, p_counts) AS d (hash, n)
    WHERE r.repo_id = p_repo_id AND r.chunk_hash = d.hash;

    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'released % of % chunks of repository %', v_rows, cardinality(p_hashes), p_repo_id
            USING ERRCODE = 'cardinality_violation';
    END IF;
END;
$$;

-- Those of the chunks whose stored size is not the one that a file's chunk list claims, out of the chunks
-- that this repository holds: a push must not bring a list by which the file cannot be put together.
CREATE FUNCTION chunks_of_other_size(p_repo_id UUID, p_hashes TEXT[], p_sizes INT[])
RETURNS TEXT[]
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(array_agg(d.hash ORDER BY d.hash), '{}')
    FROM unnest(p_hashes, p_sizes) AS d (hash, size)
    JOIN chunk_refs r ON r.repo_id = p_repo_id AND r.chunk_hash = d.hash
    JOIN chunks c ON c.hash = d.hash
    WHERE c.size <> d.size
$$;

-- What a repository occupies: its referenced chunks (claims are not part of it yet) and their stored bytes.
CREATE FUNCTION repository_chunk_totals(p_repo_id UUID, OUT chunk_count BIGINT, OUT storage_bytes BIGINT)
LANGUAGE sql STABLE
AS $$
    SELECT count(*), coalesce(sum(coalesce(c.compressed_size, c.size)), 0)
    FROM chunk_refs r
    JOIN chunks c ON c.hash = r.chunk_hash
    WHERE r.repo_id = p_repo_id AND r.ref_count > 0
$$;

-- How much of a sealed pack is still named: what compaction goes by, since live counts rows, not bytes.
CREATE VIEW pack_usage AS
SELECT p.key, p.bucket, p.region, p.live, p.bytes, p.created_at,
       (SELECT coalesce(sum(nullif(split_part(named.storage_key, '+', 2), '')::BIGINT), 0)::BIGINT
        FROM (SELECT c.storage_key FROM chunks c WHERE c.pack_key = p.key
              UNION ALL
              SELECT l.storage_key FROM chunk_locations l WHERE l.pack_key = p.key) AS named) AS live_bytes
FROM packs p
WHERE p.state = 'sealed';
