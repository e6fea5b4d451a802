"""Reads chunks from the stores. Nothing leaves here that does not hash to its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple, TypeAlias
from uuid import UUID

import structlog

from services.chunk.catalog.extents import Extent, Extents
from services.chunk.packs.content import Chunk, ChunkOpener, ContentMismatch
from services.chunk.stores.blob_store import BlobMissing, BlobStore
from shared.errors import DomainError, chunk_corrupt, dependency_unavailable, not_found

log = structlog.get_logger(__name__)


class Piece(NamedTuple):
    """What a request wants of one chunk.

    Attributes:
        extent: the chunk.
        position: its position in the request.
        part: the wanted part of its uncompressed bytes; None = all of its stored bytes.
    """

    extent: Extent
    position: int
    part: slice | None


# Takes a piece with its bytes, or with the reason why they cannot be sent. Returns what is sent for it, in
# parts. Runs in the thread that has verified the piece.
EncodePiece: TypeAlias = Callable[
    [Piece, bytes | memoryview, DomainError | None], Iterable[bytes | memoryview]
]


class ChunkReader:
    """Reads from all stores, by the names of their buckets."""

    def __init__(self, stores: Mapping[str, BlobStore], extents: Extents) -> None:
        self._stores = stores
        self._extents = extents

    async def read_pieces(
        self, repository_id: UUID, pieces: Iterable[Piece], encode: EncodePiece
    ) -> list[bytes]:
        """Returns the encoded pieces, which are sorted by extent, pack by pack."""
        runs = groupby(pieces, key=lambda piece: piece.extent[:2])
        reading = [self._read_pack(repository_id, list(run), encode) for _, run in runs]
        return await asyncio.gather(*reading)

    async def _read_pack(
        self, repository_id: UUID, run: Sequence[Piece], encode: EncodePiece
    ) -> bytes:
        """Reads pieces that lie in one pack."""
        bucket, pack_key = run[0].extent[:2]
        store = self._stores.get(bucket)
        if store is None:
            log.error("no such bucket", bucket=bucket)
            raise dependency_unavailable("object store")
        ranges = [(piece.extent.offset, piece.extent.length) for piece in run]
        try:
            encoded, damaged = await store.read_ranges(
                pack_key, ranges, partial(_verify_and_encode, run, encode)
            )
        except BlobMissing:
            return await self._read_moved(repository_id, run, encode)
        for extent, cause in damaged:
            _raise_alarm(extent, cause)
        return encoded

    async def _read_moved(
        self, repository_id: UUID, run: Sequence[Piece], encode: EncodePiece
    ) -> bytes:
        """Reads pieces of a vanished pack from where they lie now, unless they are lost."""
        digests = {piece.extent.digest for piece in run}
        extents = await self._extents.locate_chunks(repository_id, digests)
        parts: list[bytes | memoryview] = []
        for piece in run:
            digest = piece.extent.digest
            extent = extents.get(digest)
            if extent is None:
                parts += encode(piece, b"", not_found("chunk", digest.hex()))
            elif extent == piece.extent:
                _raise_alarm(extent, "the object is missing")
                parts += encode(piece, b"", chunk_corrupt(digest.hex()))
            else:
                moved = piece._replace(extent=extent)
                parts.append(await self._read_pack(repository_id, [moved], encode))
        return b"".join(parts)


def _verify_and_encode(
    run: Sequence[Piece], encode: EncodePiece, stored: Sequence[memoryview]
) -> tuple[bytes, list[tuple[Extent, str]]]:
    """Returns the encoded pieces; and which of them are damaged, and how."""
    opener = ChunkOpener()
    parts: list[bytes | memoryview] = []
    damaged: list[tuple[Extent, str]] = []
    for piece, data in zip(run, stored, strict=True):
        extent, _, part = piece
        try:
            plain = opener.open_chunk(Chunk(extent.digest, extent.size, extent.compression, data))
        except ContentMismatch as mismatch:
            damaged.append((extent, str(mismatch)))
            parts += encode(piece, b"", chunk_corrupt(extent.digest.hex()))
        else:
            parts += encode(piece, data if part is None else plain[part], None)
    return b"".join(parts), damaged


def _raise_alarm(extent: Extent, cause: str) -> None:
    log.error(
        "chunk corrupt",
        hash=extent.digest.hex(),
        bucket=extent.bucket,
        pack=extent.pack_key,
        offset=extent.offset,
        length=extent.length,
        cause=cause,
    )
