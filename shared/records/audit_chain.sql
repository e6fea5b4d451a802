-- name: seal_audit_rows
-- Seals up to $1 settled rows; returns how many, and 0 while another process is at it.
SELECT seal_audit_rows($1) AS count;
