-- The packs whose objects move to another store.

-- name: list_packs
-- Up to $3 sealed packs of bucket $1 behind $2.
SELECT key, bytes FROM packs WHERE bucket = $1 AND key > $2 AND state = 'sealed' ORDER BY key LIMIT $3;

-- name: sealed_pack
-- A row if the pack $1 is sealed still.
SELECT 1 FROM packs WHERE key = $1 AND state = 'sealed';
