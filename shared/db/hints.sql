-- name: notify
-- Sends a notification on each of some channels ($1) with its payload ($2). It need not survive a crash, so it does
-- not wait for the disk.
SELECT set_config('synchronous_commit', 'off', true), pg_notify(h.channel, h.payload)
FROM unnest($1::text[], $2::text[]) AS h (channel, payload);
