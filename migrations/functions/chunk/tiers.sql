-- How cold a class is: 1 is read at once and often, 3 and 4 have to be restored first. NULL is hot.
CREATE OR REPLACE FUNCTION storage_rank(p_class TEXT)
RETURNS INT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE p_class WHEN 'deep_archive' THEN 4 WHEN 'glacier' THEN 3 WHEN 'infrequent' THEN 2 ELSE 1 END
$$;
