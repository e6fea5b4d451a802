-- name: database_id
-- The id of the database.
SELECT database_id();
