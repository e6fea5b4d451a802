-- The outbox: events are written in the transaction in which they happen, and deleted when they are old.

-- What an event is about, among the things of its repository. Events about one thing stand in the order in which
-- they happened. An event about none of these has no place among the others.
CREATE OR REPLACE FUNCTION event_subjects(p_type TEXT, p_payload JSONB)
RETURNS TEXT[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg(s.subject) FROM (
        SELECT 'branch ' || (b ->> 'branch') FROM jsonb_array_elements(p_payload -> 'branches') b
        WHERE p_type = 'push'
        UNION ALL
        SELECT 'tag ' || (t ->> 'tag') FROM jsonb_array_elements(p_payload -> 'tags') t
        WHERE p_type = 'push'
        UNION ALL
        SELECT 'branch ' || b FROM unnest(ARRAY[p_payload ->> 'branch', p_payload ->> 'previous_name']) b
        WHERE p_type IN ('branch.created', 'branch.deleted', 'branch.renamed')
        UNION ALL
        SELECT 'branch protection ' || (p_payload ->> 'branch') WHERE p_type = 'branch.protection_changed'
        UNION ALL
        SELECT 'tag ' || (p_payload ->> 'tag') WHERE p_type IN ('tag.created', 'tag.deleted')
        UNION ALL
        SELECT 'tag protection' WHERE p_type = 'tag.protection_changed'
        UNION ALL
        SELECT 'lock ' || (l ->> 'path') FROM jsonb_array_elements(p_payload -> 'locks') l
        WHERE p_type LIKE 'lock.%'
        UNION ALL
        SELECT 'repository' WHERE p_type IN ('repo.updated', 'repo.deleted', 'repo.undeleted', 'repo.transferred')
        UNION ALL
        SELECT 'grant ' || coalesce(p_payload ->> 'user_id', p_payload ->> 'team_id') WHERE p_type LIKE 'repo.access_%'
        UNION ALL
        SELECT 'content ' || (p_payload ->> 'content_hash')
        WHERE p_type IN ('repo.content_obliterated', 'repo.obliteration_lifted')
    ) s (subject)
$$;

-- Records an event in the caller's transaction and returns its id. Events are read in the order of transactions,
-- which get their numbers before they wait for locks. A transaction that comes to a thing after one with a higher
-- number fails, to be repeated under a number that is higher still.
CREATE OR REPLACE FUNCTION emit_event(
    p_type TEXT,
    p_repo_id UUID,
    p_org_id UUID,
    p_actor_id UUID,
    p_payload JSONB
)
RETURNS BIGINT
LANGUAGE plpgsql
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $$
DECLARE
    v_id BIGINT;
    v_subjects TEXT[] := event_subjects(p_type, p_payload);
BEGIN
    IF v_subjects IS NOT NULL AND EXISTS (
        SELECT FROM events e
        WHERE e.repo_id = p_repo_id AND e.xid > pg_current_xact_id()
          -- Not with &&, which compares each with each: a thousand subjects with those of a thousand events.
          AND (SELECT jsonb_object_agg(s, NULL) FROM unnest(v_subjects) s WHERE s IS NOT NULL)
              ?| event_subjects(e.type, e.payload)
    ) THEN
        RAISE EXCEPTION 'a later transaction has told of it already' USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO events (type, repo_id, org_id, actor_id, payload)
    VALUES (p_type, p_repo_id, p_org_id, p_actor_id, coalesce(p_payload, '{}'))
    RETURNING id INTO STRICT v_id;
    RETURN v_id;
END;
$$;

-- Deletes up to p_limit events, the oldest first, that are older than p_keep and that every background
-- consumer is done with, dead events excepted, and returns how many: 0 while another transaction is at it. Of those that the
-- slowest consumer has yet to read, it looks at those of an hour: what was written later goes when that has come to it.
CREATE OR REPLACE FUNCTION purge_events(p_keep INTERVAL, p_limit INT)
RETURNS INT
LANGUAGE plpgsql
AS $$
DECLARE
    v_xid XID8;
    v_id BIGINT;
    v_count INT;
    v_until TIMESTAMPTZ := statement_timestamp() - p_keep;
BEGIN
    -- One at a time: the horizon only rises.
    IF NOT pg_try_advisory_xact_lock(advisory_key('retention', 'events')) THEN
        RETURN 0;
    END IF;
    -- How far the slowest consumer is.
    SELECT c.xid, c.id INTO v_xid, v_id FROM event_cursors c ORDER BY c.xid, c.id LIMIT 1;
    v_until := least(v_until, (SELECT e.created_at + INTERVAL '1 hour' FROM settled_events e
                               WHERE (e.xid, e.id) > (v_xid, v_id) ORDER BY e.xid, e.id LIMIT 1));
    WITH gone AS (
        DELETE FROM events WHERE id = ANY (ARRAY(
            SELECT e.id FROM settled_events e
            WHERE e.created_at < v_until
              AND (v_xid IS NULL OR (e.xid, e.id) <= (v_xid, v_id))
              AND NOT EXISTS (SELECT FROM dead_events d WHERE d.id = e.id OFFSET 0)
            ORDER BY e.xid, e.id LIMIT p_limit))
        RETURNING xid, id
    ), last AS (
        SELECT g.xid, g.id FROM gone g ORDER BY g.xid DESC, g.id DESC LIMIT 1
    )
    SELECT (SELECT count(*) FROM gone), l.xid, l.id INTO v_count, v_xid, v_id FROM last l;

    UPDATE event_horizon h SET xid = v_xid, id = v_id WHERE (h.xid, h.id) < (v_xid, v_id);
    RETURN coalesce(v_count, 0);
END;
$$;
