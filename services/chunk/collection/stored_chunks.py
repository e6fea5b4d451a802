"""Reads chunks as they lie in a pack, and verifies them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from services.chunk.packs.content import Chunk, ChunkOpener, ContentMismatch
from services.chunk.stores.blob_store import BlobMissing, BlobStore
from shared.db import sql
from shared.db.pool import Database, Row

Q = sql.load(__file__)

# What is read at once, bytes.
_GROUP_BYTES = 8 << 20


class StoredChunk(NamedTuple):
    """A chunk where it lies in a pack.

    Attributes:
        offset, length: of the stored bytes in the pack.
        digest: BLAKE3 of the uncompressed bytes, 32 bytes.
        size: the number of uncompressed bytes.
        compression: "none" or "zstd".
        is_home: whether it is the home copy, and not one of another region.
        is_lost: whether no good copy was known.
    """

    offset: int
    length: int
    digest: bytes
    size: int
    compression: str
    is_home: bool
    is_lost: bool


class VerifiedChunk(NamedTuple):
    """A chunk with its stored bytes; None = they are damaged or missing."""

    stored: StoredChunk
    chunk: Chunk | None


async def list_chunks(database: Database, pack_key: str) -> list[StoredChunk]:
    """Returns the chunks that lie in a pack, in the order of their places."""
    rows = await database.fetch(Q.chunks_of_pack, pack_key)
    return sorted(
        _parse(row, is_home=row["is_home"], is_lost=row["lost_at"] is not None) for row in rows
    )


async def list_places(
    database: Database, digests: Iterable[bytes]
) -> list[tuple[str, str, StoredChunk]]:
    """Returns where chunks lie, in all regions: bucket, pack, and place in the pack."""
    rows = await database.fetch(Q.places_of_chunks, [digest.hex() for digest in digests])
    return [
        (
            row["bucket"],
            row["storage_key"].partition("@")[0],
            _parse(row, is_home=row["is_home"], is_lost=row["lost_at"] is not None),
        )
        for row in rows
    ]


async def read_chunks(
    stores: Mapping[str, BlobStore], bucket: str, pack_key: str, chunks: Sequence[StoredChunk]
) -> AsyncGenerator[list[VerifiedChunk], None]:
    """Yields chunks of a pack with their bytes, some at a time. A store that is away raises."""
    store = stores[bucket]
    for group in _split(chunks):
        ranges = [(each.offset, each.length) for each in group]
        try:
            verified = await store.read_ranges(pack_key, ranges, partial(_verify, group))
        except BlobMissing:
            verified = [VerifiedChunk(each, None) for each in group]
        yield verified


def _parse(row: Row, *, is_home: bool, is_lost: bool) -> StoredChunk:
    offset, _, length = row["storage_key"].partition("@")[2].partition("+")
    return StoredChunk(
        int(offset), int(length), row["digest"], row["size"], row["compression"], is_home, is_lost
    )


def _split(chunks: Sequence[StoredChunk]) -> Iterable[list[StoredChunk]]:
    group: list[StoredChunk] = []
    size = 0
    for each in chunks:
        if group and size + each.length > _GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(each)
        size += each.length
    if group:
        yield group


def _verify(group: Sequence[StoredChunk], stored: Sequence[memoryview]) -> list[VerifiedChunk]:
    opener = ChunkOpener()
    return [
        VerifiedChunk(each, _open(opener, each, data))
        for each, data in zip(group, stored, strict=True)
    ]


def _open(opener: ChunkOpener, stored: StoredChunk, data: memoryview) -> Chunk | None:
    chunk = Chunk(stored.digest, stored.size, stored.compression, data)
    try:
        opener.open_chunk(chunk)
    except ContentMismatch:
        return None
    return chunk
