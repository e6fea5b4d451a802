-- name: record_usage
-- Records a batch of a writer once; returns the time of the database.
SELECT record_usage(:writer_id, :batch, ARRAY(
    SELECT ROW (a.*)::usage_amounts
    FROM unnest(:days::date[], :entity_types::text[], :entity_ids::uuid[], :requests::bigint[],
                :received::bigint[], :sent::bigint[], :pushes::bigint[], :pulls::bigint[]) AS a)) AS now;
