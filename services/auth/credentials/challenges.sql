-- name: clock
-- The id of the server, and the time after an interval.
SELECT database_id() AS server_id, clock_timestamp() + $1::interval AS expires;
