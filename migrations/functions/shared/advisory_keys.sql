-- The number space of transaction-scoped advisory locks.

-- One number space for all transaction-scoped advisory locks: a kind and a name. Two names that collide
-- cost a wait and nothing else.
CREATE OR REPLACE FUNCTION advisory_key(p_kind TEXT, p_name TEXT)
RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended(p_kind || ':' || p_name, 0) $$;
