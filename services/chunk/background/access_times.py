"""When chunks were last read: remembered here, written now and then."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from shared.db import sql
from shared.db.pool import Connection, Database
from shared.rpc.validation import MAX_HASHES

Q = sql.load(__file__)

FLUSH_SECONDS = 30.0
# What is read beyond this between two flushes goes unnoticed; 32 bytes each.
_MOST = 500_000


class Touches:
    """Chunks that were read since the last flush."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._digests: set[bytes] = set()

    def add(self, digests: Iterable[bytes]) -> None:
        """Notes that chunks are being read."""
        if len(self._digests) < _MOST:
            self._digests.update(digests)

    async def flush(self) -> None:
        """Writes down what was noted."""
        digests, self._digests = iter(self._digests), set()
        while some := list(islice(digests, MAX_HASHES)):
            packed = b"".join(some)

            async def work(connection: Connection, packed: bytes = packed) -> None:
                await connection.execute(Q.touch, packed)

            await self._database.transaction(work)
