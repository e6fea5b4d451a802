"""Which chunks a repository has. Answers are hints; they hold for half a lease."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Databases
from shared.rpc.validation import DIGEST_BYTES

Q = sql.load(__file__)


def join_hashes(digests: Iterable[bytes]) -> str:
    """Returns hashes in hex, with commas between them, as the queries take them."""
    return b"".join(digests).hex(",", DIGEST_BYTES)


class Presence:
    """Looks chunks up, and renews the claims on those that are found."""

    def __init__(self, databases: Databases, lease: timedelta) -> None:
        self._databases = databases
        self._lease = lease

    async def find_missing_chunks(
        self, repository_id: UUID, digests: Sequence[bytes]
    ) -> tuple[bytes, int]:
        """Returns a bitmap of the missing chunks, lowest bit first, and their number."""
        database = self._databases.of(repository_id)
        packed = b"".join(digests)
        row = await database.fetchrow(Q.present_chunks, repository_id, packed, self._lease)
        if row and row["stale"]:
            hashes = join_hashes(digests)
            await database.statement(Q.renew_claims, repository_id, hashes, self._lease)
        found = (row and row["hashes"]) or b""
        present = {found[i : i + DIGEST_BYTES] for i in range(0, len(found), DIGEST_BYTES)}
        bitmap = bytearray((len(digests) + 7) // 8)
        count = 0
        for position, digest in enumerate(digests):
            if digest not in present:
                bitmap[position >> 3] |= 1 << (position & 7)
                count += 1
        return bytes(bitmap), count

    async def find_kept_chunks(self, repository_id: UUID, digests: Iterable[bytes]) -> set[bytes]:
        """Returns those chunks that the repository has, and has for another half lease at least."""
        database = self._databases.of(repository_id)
        hashes = join_hashes(digests)
        rows = await database.fetch(Q.kept_chunks, repository_id, hashes, self._lease)
        return {bytes.fromhex(row["chunk_hash"]) for row in rows}

    async def renew_claims(self, connection: Connection, repository_id: UUID, hashes: str) -> None:
        """Renews the claims on chunks (from `join_hashes`) that have used up half their lease."""
        await connection.execute(Q.renew_claims, repository_id, hashes, self._lease)
