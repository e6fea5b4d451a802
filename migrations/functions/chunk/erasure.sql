-- Chunks of contents that are obliterated, for the repo service. Its transaction has locked the repository against pushes
-- and uploads, and the content, before.

-- Takes one reference of the repository from each of some chunks, at most 10,000. What it has for no other content goes at
-- once, and is no claim: nobody reads it any more. What no repository has may be deleted from now on, without grace, and its
-- bytes are to be erased from the packs. Returns the number of the chunks that went, and their bytes. A reference that is not
-- there means that counters drifted: it raises, and the caller's transaction must not be committed.
CREATE OR REPLACE FUNCTION erase_chunks(p_repo_id UUID, p_hashes TEXT[], OUT chunk_count BIGINT, OUT byte_count BIGINT)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_last TEXT[];
    v_rows BIGINT;
BEGIN
    PERFORM FROM chunks WHERE hash = ANY (p_hashes) ORDER BY hash FOR NO KEY UPDATE;

    PERFORM FROM chunk_refs
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes)
    ORDER BY chunk_hash
    FOR UPDATE;

    v_last := ARRAY(
        SELECT chunk_hash FROM chunk_refs
        WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes) AND ref_count = 1
        ORDER BY chunk_hash);
    chunk_count := cardinality(v_last);
    byte_count := coalesce((SELECT sum(size) FROM chunks WHERE hash = ANY (v_last)), 0);

    UPDATE chunk_refs SET ref_count = ref_count - 1
    WHERE repo_id = p_repo_id AND chunk_hash = ANY (p_hashes) AND ref_count > 1;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows + chunk_count <> cardinality(p_hashes) THEN
        RAISE EXCEPTION 'released % of % chunks of repository %', v_rows + chunk_count, cardinality(p_hashes), p_repo_id
            USING ERRCODE = 'cardinality_violation';
    END IF;

    DELETE FROM chunk_refs WHERE repo_id = p_repo_id AND chunk_hash = ANY (v_last);
    UPDATE repository_storage SET erasures = erasures + 1 WHERE repo_id = p_repo_id;
    UPDATE chunks
    SET ref_count = ref_count - 1, delete_after = CASE WHEN ref_count = 1 THEN clock_timestamp() END
    WHERE hash = ANY (v_last);
    INSERT INTO chunk_erasures (chunk_hash) SELECT unnest(v_last) ON CONFLICT (chunk_hash) DO NOTHING;
END;
$$;

-- Has the chunks of an obliterated large file, given by its packed recipe hashes, erased by a job; so are those of the same
-- list that wait for their release, but not those of another content, which are erased, or being lifted.
CREATE OR REPLACE FUNCTION erase_list(p_repo_id UUID, p_list BYTEA, p_content TEXT)
RETURNS VOID
LANGUAGE sql VOLATILE
AS $$
    UPDATE released_lists SET erased_content = p_content
    WHERE repo_id = p_repo_id AND recipe_hashes = p_list AND erased_content IS NULL;
    INSERT INTO released_lists (repo_id, recipe_hashes, erased_content) VALUES (p_repo_id, p_list, p_content)
$$;

-- Says that an obliterated content is to be kept: what was to be erased of it is released instead. The caller has taken new
-- references to all its chunks.
CREATE OR REPLACE FUNCTION end_erasure(p_repo_id UUID, p_content TEXT)
RETURNS VOID
LANGUAGE sql VOLATILE
AS $$
    UPDATE released_lists SET erased_content = NULL WHERE repo_id = p_repo_id AND erased_content = p_content
$$;

-- Whether a job has yet to erase chunks of a content.
CREATE OR REPLACE FUNCTION is_being_erased(p_repo_id UUID, p_content TEXT)
RETURNS BOOLEAN
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM released_lists WHERE repo_id = p_repo_id AND erased_content = p_content)
$$;

-- Whether a lift of an obliterated content is under way: nothing of the content is erased meanwhile.
CREATE OR REPLACE FUNCTION is_being_lifted(p_repo_id UUID, p_content TEXT)
RETURNS BOOLEAN
LANGUAGE sql VOLATILE
AS $$
    SELECT EXISTS (SELECT FROM released_lists
                   WHERE repo_id = p_repo_id AND erased_content = p_content AND lift_ends_at > clock_timestamp())
$$;

-- Begins to take the chunks of an obliterated large file again, by references to its recipes, or goes on with a lift of it that
-- was broken off. Returns the list, and up to which chunk it is taken; or the recipes that the repository does not hold, and
-- nothing is changed. The caller has the repository for himself.
CREATE OR REPLACE FUNCTION begin_lift(p_repo_id UUID, p_list BYTEA, p_recipes TEXT[], p_content TEXT,
                                      OUT list_id BIGINT, OUT taken_to TEXT, OUT missing TEXT[])
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    missing := '{}';
    UPDATE released_lists l SET lift_ends_at = clock_timestamp() + INTERVAL '1 hour'
    WHERE l.id = (SELECT min(o.id) FROM released_lists o
                  WHERE o.repo_id = p_repo_id AND o.erased_content = p_content AND o.recipe_hashes = p_list
                    AND o.taken_to IS NOT NULL AND o.released_to = '')
    RETURNING l.id, l.taken_to INTO list_id, taken_to;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT r.missing INTO missing
    FROM reference_chunks(p_repo_id, p_recipes, array_fill(1, ARRAY[cardinality(p_recipes)]),
                          array_fill(0, ARRAY[cardinality(p_recipes)])) r;
    IF cardinality(missing) = 0 THEN
        INSERT INTO released_lists AS l (repo_id, recipe_hashes, erased_content, taken_to, lift_ends_at)
        VALUES (p_repo_id, p_list, p_content, '', clock_timestamp() + INTERVAL '1 hour')
        RETURNING l.id, l.taken_to INTO list_id, taken_to;
    END IF;
END;
$$;

-- Goes on with a lift that is taken up to p_taken_to: takes the next chunks in order, at most 10,000. Returns as
-- reference_chunks; missing is NULL if the lift is not there, or somebody else has gone on with it. The caller keeps the
-- repository from being deleted.
CREATE OR REPLACE FUNCTION lift_chunks(p_repo_id UUID, p_list_id BIGINT, p_taken_to TEXT, p_hashes TEXT[], p_sizes INT[],
                                       OUT missing TEXT[], OUT missized TEXT[])
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM FROM released_lists
    WHERE id = p_list_id AND repo_id = p_repo_id AND taken_to = p_taken_to AND released_to = ''
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT r.missing, r.missized INTO missing, missized
    FROM reference_chunks(p_repo_id, p_hashes, array_fill(1, ARRAY[cardinality(p_hashes)]), p_sizes) r;
    IF cardinality(missing) = 0 THEN
        UPDATE released_lists
        SET taken_to = p_hashes[cardinality(p_hashes)], lift_ends_at = clock_timestamp() + INTERVAL '1 hour'
        WHERE id = p_list_id;
    END IF;
END;
$$;

-- Ends a lift that is taken up to p_taken_to: what it has taken belongs to the content again. Returns whether it was there.
CREATE OR REPLACE FUNCTION end_lift(p_repo_id UUID, p_list_id BIGINT, p_taken_to TEXT)
RETURNS BOOLEAN
LANGUAGE sql VOLATILE
AS $$
    WITH ended AS (
        DELETE FROM released_lists
        WHERE id = p_list_id AND repo_id = p_repo_id AND taken_to = p_taken_to AND released_to = ''
        RETURNING id
    )
    SELECT EXISTS (SELECT FROM ended)
$$;
