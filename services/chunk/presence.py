"""Which chunks a repository has. Answers are hints; they hold for half a lease."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from shared import sql
from shared.db import Connection, Database, Row
from shared.validation import DIGEST_BYTES

Q = sql.load(__file__)


class Presence:
    """Looks chunks up, and renews the claims on those that are found."""

    def __init__(self, database: Database, lease: timedelta) -> None:
        self._database = database
        self._lease = lease

    async def missing(self, repository: UUID, digests: Sequence[bytes]) -> tuple[bytes, int]:
        """A bitmap of the missing chunks, lowest bit first, and how many they are."""
        packed = b"".join(digests)
        row = await self._database.fetchrow(Q.present, repository, packed, self._lease)
        if row and row["stale"]:

            async def work(connection: Connection) -> None:
                await self.refresh(connection, repository, packed)

            await self._database.transaction(work)
        present = _unpacked(row)
        bitmap = bytearray((len(digests) + 7) // 8)
        count = 0
        for position, digest in enumerate(digests):
            if digest not in present:
                bitmap[position >> 3] |= 1 << (position & 7)
                count += 1
        return bytes(bitmap), count

    async def kept(self, repository: UUID, digests: Sequence[bytes]) -> set[bytes]:
        """Those chunks that the repository has, and has for another half lease at least."""
        packed = b"".join(digests)
        return _unpacked(await self._database.fetchrow(Q.kept, repository, packed, self._lease))

    async def refresh(self, connection: Connection, repository: UUID, packed: bytes) -> None:
        """Renews the claims on these chunks that have used up half their lease."""
        await connection.execute(Q.refresh, repository, packed, self._lease)


def _unpacked(row: Row | None) -> set[bytes]:
    packed: bytes = (row and row["hashes"]) or b""
    return {packed[i : i + DIGEST_BYTES] for i in range(0, len(packed), DIGEST_BYTES)}
