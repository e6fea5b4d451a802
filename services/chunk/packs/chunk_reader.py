"""Reads chunks from the stores. Nothing leaves here that does not hash to its name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

import structlog
from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.catalog.extents import Place, Places
from services.chunk.packs.content import COMPRESSIONS, Chunk, Mismatch, Opener
from services.chunk.packs.response_encoder import EncodedResponse, encoded
from services.chunk.stores.local_store import BlobMissing, BlobStore
from shared.errors import DomainError, Reason, chunk_corrupt, dependency_unavailable, not_found

log = structlog.get_logger(__name__)

_WIRE = {text: wire for wire, text in COMPRESSIONS.items()}


class Piece(NamedTuple):
    """What a request wants of one chunk: `part` of it, or None = all of it as it is stored."""

    place: Place
    position: int
    part: slice | None


def failed(position: int, digest: bytes, error: DomainError) -> pb.DownloadedChunk:
    """Returns what is sent in place of a chunk."""
    reason = Reason.Name(error.reason)
    failure = pb.ChunkFailure(hash=digest, reason=reason, message=error.message)
    return pb.DownloadedChunk(index=position, failure=failure)


class Reader:
    """Reads from all stores, by the names of their buckets."""

    def __init__(self, stores: Mapping[str, BlobStore], places: Places) -> None:
        self._stores = stores
        self._places = places

    async def load(self, repository: UUID, pieces: Iterable[Piece]) -> EncodedResponse:
        """A message with these pieces, which are sorted by place, or with why they cannot be sent."""
        runs = groupby(pieces, key=lambda piece: piece.place[:2])
        reading = [self._read(repository, list(run)) for _, run in runs]
        return EncodedResponse(await asyncio.gather(*reading))

    async def _read(self, repository: UUID, run: Sequence[Piece]) -> bytes:
        """Pieces that lie in one pack."""
        bucket, pack = run[0].place[:2]
        store = self._stores.get(bucket)
        if store is None:
            log.error("no such bucket", bucket=bucket)
            raise dependency_unavailable("object store")
        ranges = [(piece.place.offset, piece.place.length) for piece in run]
        try:
            message, damaged = await store.read(pack, ranges, partial(_verified, run))
        except BlobMissing:
            return await self._read_moved(repository, run)
        for place, cause in damaged:
            _raise_alarm(place, cause)
        return message

    async def _read_moved(self, repository: UUID, run: Sequence[Piece]) -> bytes:
        """Pieces of a vanished pack: where they have gone since, unless they are lost."""
        places = await self._places.locate(repository, {piece.place.digest for piece in run})
        parts: list[bytes | memoryview] = []
        for piece in run:
            position, digest = piece.position, piece.place.digest
            place = places.get(digest)
            if place is None:
                parts += encoded(failed(position, digest, not_found("chunk", digest.hex())))
            elif place == piece.place:
                _raise_alarm(place, "the object is missing")
                parts += encoded(_corrupt(piece))
            else:
                parts.append(await self._read(repository, [piece._replace(place=place)]))
        return b"".join(parts)


def _verified(
    run: Sequence[Piece], stored: Sequence[memoryview]
) -> tuple[bytes, list[tuple[Place, str]]]:
    """A message of those pieces that are intact; which are not, and why."""
    opener = Opener()
    parts: list[bytes | memoryview] = []
    damaged: list[tuple[Place, str]] = []
    for piece, data in zip(run, stored, strict=True):
        place, position, part = piece
        try:
            plain = opener.open(Chunk(place.digest, place.size, place.compression, data))
        except Mismatch as mismatch:
            damaged.append((place, str(mismatch)))
            parts += encoded(_corrupt(piece))
            continue
        chunk = pb.DownloadedChunk(index=position, size=place.size)
        if part is None:
            chunk.compression = _WIRE[place.compression]
            parts += encoded(chunk, data)
        else:
            chunk.compression = pb.COMPRESSION_NONE
            parts += encoded(chunk, plain[part])
    return b"".join(parts), damaged


def _corrupt(piece: Piece) -> pb.DownloadedChunk:
    digest = piece.place.digest
    return failed(piece.position, digest, chunk_corrupt(digest.hex()))


def _raise_alarm(place: Place, cause: str) -> None:
    log.error(
        "chunk corrupt",
        hash=place.digest.hex(),
        bucket=place.bucket,
        pack=place.pack,
        offset=place.offset,
        length=place.length,
        cause=cause,
    )
