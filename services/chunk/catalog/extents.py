"""Extents: where the stored bytes of chunks lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from shared.db import sql
from shared.db.pool import Databases

Q = sql.load(__file__)


class Extent(NamedTuple):
    """A chunk and where its stored bytes lie. Sorted extents are in the order that is cheapest to read.

    Attributes:
        bucket: the bucket of the pack.
        pack_key: the key of the pack in the bucket.
        offset: the first stored byte in the pack.
        length: the number of stored bytes.
        digest: BLAKE3 of the uncompressed bytes, 32 bytes.
        size: the number of uncompressed bytes.
        compression: "none" or "zstd".
    """

    bucket: str
    pack_key: str
    offset: int
    length: int
    digest: bytes
    size: int
    compression: str


class Extents:
    """The extents of the chunks that repositories have."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    async def locate_chunks(
        self, repository_id: UUID, digests: Iterable[bytes]
    ) -> dict[bytes, Extent]:
        """Returns the extents of those chunks that the repository has, by digest."""
        database = self._databases.of(repository_id)
        extents = {}
        for row in await database.fetch(Q.locate_chunks, repository_id, b"".join(digests)):
            digest, size, compression, bucket, storage_key = row
            pack_key, _, span = storage_key.partition("@")
            offset, _, length = span.partition("+")
            extents[digest] = Extent(
                bucket, pack_key, int(offset), int(length), digest, size, compression
            )
        return extents
