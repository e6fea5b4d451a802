-- name: read_session
-- What a session has of what services ask of it: whether it may write, and whether it has the settings that it was
-- opened with. The server's own lock_timeout is none, and ours is not.
SELECT current_setting('transaction_read_only')::boolean AS is_read_only,
       current_setting('lock_timeout') <> '0' AS has_settings;
