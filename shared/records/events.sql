-- name: emit_event
-- Writes an event about a repository, in the caller's transaction.
SELECT emit_event($1, $2, NULL, $3, $4::jsonb);
