-- name: login_row
-- The account behind a username or e-mail address as fold_login spells it, with its password if it has one that counts,
-- and whether it has logged in from a network ($2) within 90 days.
SELECT u.id, u.username, u.status, CASE WHEN NOT c.force_password_change THEN c.password_hash END AS password_hash,
       EXISTS (SELECT FROM sessions s
               WHERE s.user_id = u.id AND s.ip_address <<= $2::text::cidr
                 AND s.created_at > now() - interval '90 days') AS is_known_network
FROM users u LEFT JOIN user_credentials c ON c.user_id = u.id
WHERE lower(u.username) = $1 OR u.email_key = $1
ORDER BY (lower(u.username) = $1) DESC
LIMIT 1;
