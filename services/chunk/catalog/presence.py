"""Which chunks a repository has. Answers are hints; they hold for half a lease."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Database
from shared.rpc.validation import DIGEST_BYTES

Q = sql.load(__file__)


def joined(digests: Iterable[bytes]) -> str:
    """Hashes as the queries take them: in hex, with commas between them."""
    return b"".join(digests).hex(",", DIGEST_BYTES)


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
                await self.refresh(connection, repository, joined(digests))

            await self._database.transaction(work)
        found = (row and row["hashes"]) or b""
        present = {found[i : i + DIGEST_BYTES] for i in range(0, len(found), DIGEST_BYTES)}
        bitmap = bytearray((len(digests) + 7) // 8)
        count = 0
        for position, digest in enumerate(digests):
            if digest not in present:
                bitmap[position >> 3] |= 1 << (position & 7)
                count += 1
        return bytes(bitmap), count

    async def kept(self, repository: UUID, digests: Iterable[bytes]) -> set[bytes]:
        """Those chunks that the repository has, and has for another half lease at least."""
        rows = await self._database.fetch(Q.kept, repository, joined(digests), self._lease)
        return {bytes.fromhex(row["chunk_hash"]) for row in rows}

    async def refresh(self, connection: Connection, repository: UUID, hashes: str) -> None:
        """Renews the claims on these chunks, `joined`, that have used up half their lease."""
        await connection.execute(Q.refresh, repository, hashes, self._lease)
