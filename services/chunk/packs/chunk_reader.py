"""Reads chunks from the nearest store that has them. Nothing leaves here that does not hash to its name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple, TypeAlias
from uuid import UUID

import structlog

from services.chunk.catalog.copy_requests import RepairRequests
from services.chunk.catalog.extents import Extent, Extents
from services.chunk.packs.content import Chunk, ChunkOpener, ContentMismatch
from services.chunk.stores.blob_store import BlobFrozen, BlobMissing, BlobStore
from services.chunk.stores.meant_stores import require_meant
from shared.errors import (
    DomainError,
    Reason,
    chunk_archived,
    chunk_corrupt,
    dependency_unavailable,
    not_found,
)

log = structlog.get_logger(__name__)

# How long a store that was away is asked last.
_AWAY_SECONDS = 15.0


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


class _Failure(NamedTuple):
    """Why pieces could not be read from a pack: what is wrong with it, or that its store is away."""

    place: tuple[str, str]
    cause: str
    error: DomainError | None = None


class ChunkReader:
    """Reads from all stores, by the names of their buckets, the nearest first."""

    def __init__(
        self,
        stores: Mapping[str, BlobStore],
        extents: Extents,
        repairs: RepairRequests | None = None,
    ) -> None:
        """`repairs`: is told of packs with damage."""
        self._stores = stores
        self._nearness = {bucket: at for at, bucket in enumerate(stores)}
        self._extents = extents
        self._repairs = repairs
        self._away_until: dict[str, float] = {}

    async def read_pieces(
        self, repository_id: UUID, pieces: Iterable[Piece], encode: EncodePiece
    ) -> list[bytes]:
        """Returns the encoded pieces, which are sorted by extent, pack by pack."""
        pieces = list(pieces)
        if self._away_until and any(self._is_away(piece.extent.bucket) for piece in pieces):
            pieces = await self._avoid_away(repository_id, pieces)
        runs = groupby(pieces, key=lambda piece: piece.extent[:2])
        reading = [self._read_pack(repository_id, list(run), encode) for _, run in runs]
        return await asyncio.gather(*reading)

    def _is_away(self, bucket: str) -> bool:
        return self._away_until.get(bucket, 0.0) > time.monotonic()

    async def _avoid_away(self, repository_id: UUID, pieces: Sequence[Piece]) -> list[Piece]:
        """Returns pieces to be read from stores that answer, as far as there are such copies; sorted."""
        digests = {p.extent.digest for p in pieces if self._is_away(p.extent.bucket)}
        places = await self._extents.locate_copies(repository_id, digests)
        chosen = []
        for piece in pieces:
            others = self._sort(places.get(piece.extent.digest, ()))
            is_better = others and not self._is_away(others[0].bucket)
            chosen.append(piece._replace(extent=others[0]) if is_better else piece)
        return sorted(chosen)

    def _sort(self, extents: Iterable[Extent]) -> list[Extent]:
        """Returns the copies of a chunk in known stores, the nearest first, those that are away last."""
        known = [extent for extent in extents if extent.bucket in self._stores]
        return sorted(
            known, key=lambda each: (self._is_away(each.bucket), self._nearness[each.bucket])
        )

    async def _read_pack(
        self,
        repository_id: UUID,
        run: Sequence[Piece],
        encode: EncodePiece,
        tried: Sequence[_Failure] = (),
    ) -> bytes:
        """Reads pieces that lie in one pack, and elsewhere what cannot be read there."""
        bucket, pack_key = place = run[0].extent[:2]
        store = self._stores.get(bucket)
        ranges = [(piece.extent.offset, piece.extent.length) for piece in run]
        encoded, left = b"", run
        try:
            if store is None:
                log.error("a region that stores and tiers do not name", bucket=bucket)
                raise dependency_unavailable("object store")
            try:
                encoded, left, cause = await store.read_ranges(
                    pack_key, ranges, partial(_verify_and_encode, run, encode)
                )
            except BlobMissing:
                # In a store that was given up, nothing is missing.
                await require_meant(self._extents.database_of(repository_id), store)
                cause = "the object is missing"
            failure = _Failure(place, cause)
        except BlobFrozen:
            # The class of the repository says otherwise only if the store has ended a restore too early.
            log.warning("a chunk is frozen", bucket=bucket, pack=pack_key)
            failure = _Failure(place, "", chunk_archived(run[0].extent.digest.hex()))
        except DomainError as error:
            if error.metadata.get("dependency") != "object store":
                raise
            self._away_until[bucket] = time.monotonic() + _AWAY_SECONDS
            failure = _Failure(place, "", error)
        if not left:
            return encoded
        rest = await self._read_elsewhere(repository_id, left, encode, (*tried, failure))
        return encoded + rest

    async def _read_elsewhere(
        self,
        repository_id: UUID,
        pieces: Sequence[Piece],
        encode: EncodePiece,
        tried: Sequence[_Failure],
    ) -> bytes:
        """Reads pieces from other places than those tried, where they may have moved meanwhile."""
        places = await self._extents.locate_copies(
            repository_id, {piece.extent.digest for piece in pieces}
        )
        parts: list[bytes | memoryview] = []
        moved: list[Piece] = []
        for piece in pieces:
            digest = piece.extent.digest
            extents = places.get(digest, [])
            await self._raise_alarm(repository_id, extents, tried[-1])
            others = self._sort(
                each for each in extents if all(each[:2] != failure.place for failure in tried)
            )
            if others:
                moved.append(piece._replace(extent=others[0]))
            elif not extents:
                parts += encode(piece, b"", not_found("chunk", digest.hex()))
            elif error := next((each.error for each in tried if each.error), None):
                if error.reason != Reason.ERROR_REASON_CHUNK_ARCHIVED:
                    raise error
                parts += _refuse_archived(piece, encode)
            else:
                parts += encode(piece, b"", chunk_corrupt(digest.hex()))
        for _, run in groupby(sorted(moved), key=lambda piece: piece.extent[:2]):
            parts.append(await self._read_pack(repository_id, list(run), encode, tried))
        return b"".join(parts)

    async def _raise_alarm(
        self, repository_id: UUID, extents: Sequence[Extent], failure: _Failure
    ) -> None:
        """Logs that a chunk is damaged where it still lies; and has the pack verified.

        What has another copy is healed then. What has none is noted as lost, so that pushes send it again.
        """
        for extent in extents:
            if extent[:2] == failure.place and failure.error is None:
                log.error(
                    "chunk corrupt",
                    hash=extent.digest.hex(),
                    bucket=extent.bucket,
                    pack=extent.pack_key,
                    offset=extent.offset,
                    length=extent.length,
                    cause=failure.cause,
                )
                if self._repairs is not None:
                    await self._repairs.request_repair(repository_id, extent.pack_key)


def _refuse_archived(piece: Piece, encode: EncodePiece) -> Iterable[bytes | memoryview]:
    return encode(piece, b"", chunk_archived(piece.extent.digest.hex()))


def _verify_and_encode(
    run: Sequence[Piece], encode: EncodePiece, stored: Sequence[memoryview]
) -> tuple[bytes, list[Piece], str]:
    """Returns the encoded pieces; and which of them are damaged, and how the first one is."""
    opener = ChunkOpener()
    parts: list[bytes | memoryview] = []
    damaged: list[Piece] = []
    cause = ""
    for piece, data in zip(run, stored, strict=True):
        extent, _, part = piece
        try:
            plain = opener.open_chunk(Chunk(extent.digest, extent.size, extent.compression, data))
        except ContentMismatch as mismatch:
            damaged.append(piece)
            cause = cause or str(mismatch)
        else:
            parts += encode(piece, data if part is None else plain[part], None)
    return b"".join(parts), damaged, cause
