-- Whose database this is.

-- name: find_deployment
-- The cell and the id of the key of the servers; NULL = none has been here.
SELECT cell, key_id FROM deployment;

-- name: hold_deployment
-- The same; nobody else changes it until the commit.
SELECT cell, key_id FROM deployment FOR UPDATE;

-- name: note_cell
-- The servers are of cell $1.
UPDATE deployment SET cell = $1;

-- name: note_key
-- The servers seal with key $1.
UPDATE deployment SET key_id = $1;
