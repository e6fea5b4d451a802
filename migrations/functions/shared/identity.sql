-- Which database this is, for positions and cursors that are worth something in no other.

-- Returns the identity of this database. Replicas that are promoted keep it, because their transaction
-- numbers go on; a dump that is restored elsewhere gets another one, because they do not.
CREATE OR REPLACE FUNCTION database_id()
RETURNS UUID
LANGUAGE sql STABLE
AS $$
    SELECT md5(c.system_identifier || '/' || d.oid)::UUID
    FROM pg_control_system() c, pg_database d
    WHERE d.datname = current_database()
$$;
