"""Reads chunks from the stores. Nothing leaves here that does not hash to its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, groupby
from typing import NamedTuple, TypeAlias, TypeVar
from uuid import UUID

import structlog

from services.chunk.catalog.extents import Extent, Extents
from services.chunk.packs.content import Chunk, ChunkOpener, ContentMismatch
from services.chunk.stores.blob_store import BlobMissing, BlobStore
from shared.errors import DomainError, chunk_corrupt, dependency_unavailable, not_found

log = structlog.get_logger(__name__)

Encoded = TypeVar("Encoded")


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


class ReadPiece(NamedTuple):
    """A piece with its bytes, or with the reason why they cannot be sent."""

    piece: Piece
    data: bytes | memoryview
    error: DomainError | None


# Makes what is sent of read pieces; runs in the thread that has verified them.
Encode: TypeAlias = Callable[[Sequence[ReadPiece]], Encoded]


class ChunkReader:
    """Reads from all stores, by the names of their buckets."""

    def __init__(self, stores: Mapping[str, BlobStore], extents: Extents) -> None:
        self._stores = stores
        self._extents = extents

    async def read_pieces(
        self, repository_id: UUID, pieces: Iterable[Piece], encode: Encode[Encoded]
    ) -> list[Encoded]:
        """Returns what `encode` makes of the pieces, which are sorted by extent, pack by pack."""
        runs = groupby(pieces, key=lambda piece: piece.extent[:2])
        reading = [self._read_pack(repository_id, list(run), encode) for _, run in runs]
        return list(chain.from_iterable(await asyncio.gather(*reading)))

    async def _read_pack(
        self, repository_id: UUID, run: Sequence[Piece], encode: Encode[Encoded]
    ) -> list[Encoded]:
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
        return [encoded]

    async def _read_moved(
        self, repository_id: UUID, run: Sequence[Piece], encode: Encode[Encoded]
    ) -> list[Encoded]:
        """Reads pieces of a vanished pack from where they lie now, unless they are lost."""
        digests = {piece.extent.digest for piece in run}
        extents = await self._extents.locate_chunks(repository_id, digests)
        encoded: list[Encoded] = []
        for piece in run:
            digest = piece.extent.digest
            extent = extents.get(digest)
            if extent is None:
                error = not_found("chunk", digest.hex())
                encoded.append(encode([ReadPiece(piece, b"", error)]))
            elif extent == piece.extent:
                _raise_alarm(extent, "the object is missing")
                error = chunk_corrupt(digest.hex())
                encoded.append(encode([ReadPiece(piece, b"", error)]))
            else:
                moved = piece._replace(extent=extent)
                encoded += await self._read_pack(repository_id, [moved], encode)
        return encoded


def _verify_and_encode(
    run: Sequence[Piece], encode: Encode[Encoded], stored: Sequence[memoryview]
) -> tuple[Encoded, list[tuple[Extent, str]]]:
    """Returns the encoded pieces; and which of them are damaged, and how."""
    opener = ChunkOpener()
    pieces: list[ReadPiece] = []
    damaged: list[tuple[Extent, str]] = []
    for piece, data in zip(run, stored, strict=True):
        extent, _, part = piece
        try:
            plain = opener.open_chunk(Chunk(extent.digest, extent.size, extent.compression, data))
        except ContentMismatch as mismatch:
            damaged.append((extent, str(mismatch)))
            pieces.append(ReadPiece(piece, b"", chunk_corrupt(extent.digest.hex())))
        else:
            pieces.append(ReadPiece(piece, data if part is None else plain[part], None))
    return encode(pieces), damaged


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
