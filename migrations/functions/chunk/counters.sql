-- The specification's two functions, one chunk per call, corrected. The services count sets of chunks
-- inside their own statements, and a call from elsewhere would break the definition of
-- chunks.ref_count, so only the owner of the schema may call them.

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
