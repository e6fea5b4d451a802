-- name: audit
-- Adds one entry to the append-only audit log, in the caller's transaction.
SELECT audit($1, $2, $3, $4, $5, $6, $7::jsonb, $8::inet, $9, $10);
