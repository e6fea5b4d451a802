"""What a repository knows of chunks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from shared.db import sql
from shared.db.pool import Databases

Q = sql.load(__file__)


class ChunkStat(NamedTuple):
    """A chunk that a repository has.

    Attributes:
        digest: BLAKE3 of the uncompressed bytes, 32 bytes.
        size: uncompressed size, bytes.
        stored_size: bytes as this repository got them.
        encryption_key_id: the key that the client has encrypted it with; "" = it is not encrypted.
        lease_end: until when it is held without a commit that names it; None = one does.
        is_lost: no good copy is left.
    """

    digest: bytes
    size: int
    stored_size: int
    encryption_key_id: str
    lease_end: datetime | None
    is_lost: bool


class ChunkStats:
    """Looks chunks up."""

    def __init__(self, databases: Databases, lease: timedelta) -> None:
        self._databases = databases
        self._lease = lease

    async def list_chunks(self, repository_id: UUID, digests: Sequence[bytes]) -> list[ChunkStat]:
        """Returns those of the chunks that the repository has, in no order."""
        database = self._databases.of(repository_id)
        packed = b"".join(digests)
        rows = await database.fetch(Q.list_chunks, repository_id, packed, self._lease)
        return [ChunkStat(*row) for row in rows]
