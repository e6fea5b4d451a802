"""Extents: where the stored bytes of chunks lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from shared.db import sql
from shared.db.pool import Database, Databases, Row

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
        encryption_key_id: the key that the client has encrypted it with; "" = it is not encrypted.
        is_archived: whether the repository has to restore it before it reads it.
    """

    bucket: str
    pack_key: str
    offset: int
    length: int
    digest: bytes
    size: int
    compression: str
    encryption_key_id: str = ""
    is_archived: bool = False


class Extents:
    """The extents of the chunks that repositories have."""

    def __init__(self, databases: Databases, region: str | None = None) -> None:
        """`region`: copies there are preferred; None = home copies alone are looked up."""
        self._databases = databases
        self._region = region

    def database_of(self, repository_id: UUID) -> Database:
        """Returns the database that has the rows of a repository."""
        return self._databases.of(repository_id)

    async def locate_chunks(
        self, repository_id: UUID, digests: Iterable[bytes]
    ) -> dict[bytes, Extent]:
        """Returns the extents of those chunks that the repository has, by digest."""
        database, packed = self._databases.of(repository_id), b"".join(digests)
        if self._region is None:
            rows = await database.fetch(Q.locate_chunks, repository_id, packed)
        else:
            rows = await database.fetch(Q.locate_near, repository_id, packed, self._region)
        extents = map(_parse, rows)
        return {extent.digest: extent for extent in extents}

    async def locate_copies(
        self, repository_id: UUID, digests: Iterable[bytes]
    ) -> dict[bytes, list[Extent]]:
        """Returns all extents of those chunks that the repository has, the home copies first."""
        database = self._databases.of(repository_id)
        extents: dict[bytes, list[Extent]] = {}
        for row in await database.fetch(Q.locate_copies, repository_id, b"".join(digests)):
            extent = _parse(row)
            extents.setdefault(extent.digest, []).append(extent)
        return extents


def _parse(row: Row) -> Extent:
    digest, size, compression, bucket, storage_key, key_id, is_archived = row
    pack_key, _, span = storage_key.partition("@")
    offset, _, length = span.partition("+")
    place = (bucket, pack_key, int(offset), int(length))
    return Extent(*place, digest, size, compression, key_id, bool(is_archived))
