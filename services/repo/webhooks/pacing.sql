-- name: is_in_use
-- Whether a service is at work for its callers: has a transaction, or a statement. Sessions of workers do not count.
SELECT EXISTS (SELECT FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND application_name LIKE 'dits-%' AND application_name NOT LIKE '% worker'
                 AND state IN ('active', 'idle in transaction')) AS is_in_use;
