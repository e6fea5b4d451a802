"""Where chunks lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)


class Place(NamedTuple):
    """A chunk and where its stored bytes lie; sorts in the order in which it is cheapest to read."""

    bucket: str
    pack: str
    offset: int
    length: int
    digest: bytes
    size: int
    compression: str


class Places:
    """Looks chunks up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def locate(self, repository: UUID, digests: Iterable[bytes]) -> dict[bytes, Place]:
        """The places of those chunks that the repository has."""
        places = {}
        for row in await self._database.fetch(Q.locate, repository, b"".join(digests)):
            digest, size, compression, bucket, storage_key = row
            pack, _, extent = storage_key.partition("@")
            offset, _, length = extent.partition("+")
            places[digest] = Place(
                bucket, pack, int(offset), int(length), digest, size, compression
            )
        return places
