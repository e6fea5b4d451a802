-- name: reserve_storage
-- Reserves $3 bytes for an upload ($2) to repository $1, for $4; or returns a limit under which there is no room.
SELECT scope, limit_bytes, held_bytes FROM reserve_storage($1, $2, $3, $4);

-- name: release_storage
-- Ends the reservation of an upload.
DELETE FROM storage_reservations WHERE id = $1;

-- name: settle_storage
-- Takes the $2 bytes that this transaction has added to repository $1 from the upload's reservation ($3), which lasts for
-- $4 from now on; the limit that is exceeded.
SELECT scope, limit_bytes, held_bytes FROM settle_storage($1, $2, $3, $4);
