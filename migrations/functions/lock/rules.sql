-- What locks forbid. Each rule stands here once; other functions, and the queries of the lock service, ask.
-- The planner puts the bodies in place of the calls.

-- Whether locks of these types exclude each other where their paths meet.
CREATE OR REPLACE FUNCTION lock_types_conflict(p_type TEXT, p_other TEXT)
RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT 'exclusive' IN (p_type, p_other) AND 'advisory' NOT IN (p_type, p_other) $$;

-- Whether two paths meet: they are the same, or one is a directory with the other below it.
CREATE OR REPLACE FUNCTION lock_paths_meet(p_path TEXT, p_other TEXT)
RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT p_path = p_other
        OR right(p_path, 1) = '/' AND starts_with(p_other, p_path)
        OR right(p_other, 1) = '/' AND starts_with(p_path, p_other)
$$;

-- Whether a live lock keeps a user from getting one of p_asked_type on p_asked_path. The user's own locks do so
-- only on the same path with another type: a lock of the same type there is the one that the user wants.
CREATE OR REPLACE FUNCTION lock_excludes(p_path TEXT, p_holder_id UUID, p_type TEXT,
                                         p_asked_path TEXT, p_user_id UUID, p_asked_type TEXT)
RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT lock_types_conflict(p_type, p_asked_type)
       AND CASE WHEN p_holder_id = p_user_id
                THEN p_path = p_asked_path AND p_type <> p_asked_type
                ELSE lock_paths_meet(p_path, p_asked_path) END
$$;

-- Whether a live lock forbids a user (NULL: an anonymous one) to change a file that it covers.
CREATE OR REPLACE FUNCTION lock_forbids_change(p_holder_id UUID, p_type TEXT, p_user_id UUID)
RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT p_type = 'exclusive' AND p_holder_id IS DISTINCT FROM p_user_id $$;

-- Whether a live lock lets a user change a file that it covers where files must be locked first.
CREATE OR REPLACE FUNCTION lock_permits_change(p_holder_id UUID, p_type TEXT, p_user_id UUID)
RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT p_type = 'exclusive' AND p_holder_id IS NOT DISTINCT FROM p_user_id $$;

-- Whether a live lock ends when a user pushes a change of a file that it covers.
CREATE OR REPLACE FUNCTION lock_ends_with_push(p_holder_id UUID, p_release_on_push BOOLEAN, p_user_id UUID)
RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT p_release_on_push AND p_holder_id IS NOT DISTINCT FROM p_user_id $$;

-- How long before its end the holder of a lock is warned.
CREATE OR REPLACE FUNCTION lock_warning()
RETURNS INTERVAL
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT INTERVAL '15 minutes' $$;
