"""DownloadChunks: finds chunks, reads them in the order in which they lie, verifies and sends them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from typing import NamedTuple, TypeAlias
from uuid import UUID

import structlog
from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.content import COMPRESSIONS, Chunk, Mismatch, Opener
from services.chunk.encoding import EncodedResponse
from services.chunk.store import BlobMissing, BlobStore
from services.chunk.threads import in_thread
from services.chunk.touches import Touches
from shared import sql
from shared.db import Database, unavailable
from shared.errors import Reason

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

_MESSAGE_BYTES = 1 << 20
_MESSAGE_FAILURES = 1000
# Messages that are read and verified ahead of the one that is being sent.
_MESSAGES_AHEAD = 3
_WIRE = {text: wire for wire, text in COMPRESSIONS.items()}


class Place(NamedTuple):
    """A chunk and where its stored bytes lie; sorts in the order in which it is cheapest to read."""

    bucket: str
    pack: str
    offset: int
    length: int
    digest: bytes
    size: int
    compression: str


class Piece(NamedTuple):
    """What a request wants of one chunk: `part` of it, or None = all of it as it is stored."""

    place: Place
    position: int
    part: slice | None


# A piece and the stored bytes of its chunk; None if the repository has lost the chunk meanwhile.
_Read: TypeAlias = tuple[Piece, bytes | None]


class Downloads:
    """Serves chunks."""

    def __init__(
        self,
        database: Database,
        stores: Mapping[str, BlobStore],
        threads: ThreadPoolExecutor,
        touches: Touches,
    ) -> None:
        self._database = database
        self._stores = stores
        self._threads = threads
        self._touches = touches

    async def stream(
        self, repository: UUID, digests: Sequence[bytes], ranges: Sequence[pb.ByteRange]
    ) -> AsyncIterator[pb.DownloadChunksResponse | EncodedResponse]:
        """The messages that answer a request; what cannot be sent for sure comes first.

        `ranges` are as many as `digests`, or none: then the chunks are sent whole.
        """
        places = await self._locate(repository, digests)
        self._touches.add(places)
        pieces, failures = _resolve(digests, ranges, places)
        for message in _failed(failures):
            yield message
        running: deque[asyncio.Task[EncodedResponse]] = deque()
        try:
            for group in _groups(sorted(pieces)):
                running.append(asyncio.create_task(self._load(repository, group)))
                if len(running) > _MESSAGES_AHEAD:
                    yield await running.popleft()
            while running:
                yield await running.popleft()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _locate(self, repository: UUID, digests: Iterable[bytes]) -> dict[bytes, Place]:
        """Where those chunks lie that the repository has."""
        places = {}
        packed = b"".join(digests)
        for row in await self._database.fetch(Q.located, repository, packed):
            digest, size, compression, bucket, storage_key = row
            pack, _, extent = storage_key.partition("@")
            offset, _, length = extent.partition("+")
            places[digest] = Place(
                bucket, pack, int(offset), int(length), digest, size, compression
            )
        return places

    async def _load(self, repository: UUID, group: list[Piece]) -> EncodedResponse:
        """Reads and verifies the chunks of one message."""
        read: list[_Read] = []
        for _, run in groupby(group, key=lambda piece: piece.place.pack):
            read += await self._read(repository, list(run))
        response, damaged = await in_thread(self._threads, _verified, read)
        for place, cause in damaged:
            log.error(
                "chunk corrupt",
                hash=place.digest.hex(),
                bucket=place.bucket,
                pack=place.pack,
                offset=place.offset,
                length=place.length,
                cause=cause,
            )
        return response

    async def _read(self, repository: UUID, run: Sequence[Piece]) -> list[_Read]:
        """The stored bytes of pieces that lie in one pack."""
        place = run[0].place
        store = self._stores.get(place.bucket)
        if store is None:
            log.error("no such bucket", bucket=place.bucket)
            raise unavailable("object store")
        ranges = [(piece.place.offset, piece.place.length) for piece in run]
        try:
            return list(zip(run, await store.read(place.pack, ranges), strict=True))
        except BlobMissing:
            return await self._read_moved(repository, run)

    async def _read_moved(self, repository: UUID, run: Sequence[Piece]) -> list[_Read]:
        """Reads on where the chunks of a vanished object are now.

        If the rows still name the object, its bytes are lost: as good as none, so that they fail the
        verification, which raises the alarm.
        """
        places = await self._locate(repository, {piece.place.digest for piece in run})
        read: list[_Read] = []
        for piece in run:
            place = places.get(piece.place.digest)
            if place is None:
                read.append((piece, None))
            elif place == piece.place:
                read.append((piece, b""))
            else:
                read += await self._read(repository, [piece._replace(place=place)])
        return read


def _resolve(
    digests: Sequence[bytes], ranges: Sequence[pb.ByteRange], places: Mapping[bytes, Place]
) -> tuple[list[Piece], list[pb.DownloadedChunk]]:
    """What has to be read, and what cannot be sent."""
    pieces: list[Piece] = []
    failures: list[pb.DownloadedChunk] = []
    for position, digest in enumerate(digests):
        place = places.get(digest)
        if place is None:
            reason, cause = Reason.ERROR_REASON_NOT_FOUND, "no such chunk"
            failures.append(_failure(position, digest, reason, cause))
        elif not ranges:
            pieces.append(Piece(place, position, None))
        elif ranges[position].offset >= place.size:
            reason, cause = Reason.ERROR_REASON_RANGE_BEYOND_END, f"it has {place.size} bytes"
            failures.append(_failure(position, digest, reason, cause))
        else:
            first, length = ranges[position].offset, ranges[position].length
            pieces.append(Piece(place, position, slice(first, first + length if length else None)))
    return pieces, failures


def _groups(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Cuts a list into the parts that make a message each."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        if group and size + piece.place.size > _MESSAGE_BYTES:
            yield group
            group, size = [], 0
        group.append(piece)
        size += piece.place.size
    if group:
        yield group


def _failed(failures: Iterable[pb.DownloadedChunk]) -> Iterator[pb.DownloadChunksResponse]:
    """Messages that say what cannot be sent."""
    left = iter(failures)
    while some := list(islice(left, _MESSAGE_FAILURES)):
        yield pb.DownloadChunksResponse(chunks=some)


def _verified(read: Iterable[_Read]) -> tuple[EncodedResponse, list[tuple[Place, str]]]:
    """A message with the chunks that are intact, and which are not and why."""
    opener = Opener()
    chunks: list[tuple[pb.DownloadedChunk, bytes]] = []
    damaged: list[tuple[Place, str]] = []
    for (place, position, part), data in read:
        if data is None:
            reason, cause = Reason.ERROR_REASON_NOT_FOUND, "no such chunk"
            chunks.append((_failure(position, place.digest, reason, cause), b""))
            continue
        try:
            plain = opener.open(Chunk(place.digest, place.size, place.compression, data))
        except Mismatch as mismatch:
            damaged.append((place, str(mismatch)))
            reason, cause = Reason.ERROR_REASON_CHUNK_CORRUPT, "the stored bytes are damaged"
            chunks.append((_failure(position, place.digest, reason, cause), b""))
            continue
        if part is None:
            sent, compression = data, _WIRE[place.compression]
        else:
            sent, compression = plain[part], pb.COMPRESSION_NONE
        chunk = pb.DownloadedChunk(index=position, size=place.size, compression=compression)
        chunks.append((chunk, sent))
    return EncodedResponse(chunks), damaged


def _failure(
    position: int, digest: bytes, reason: Reason.ValueType, message: str
) -> pb.DownloadedChunk:
    failure = pb.ChunkFailure(hash=digest, reason=Reason.Name(reason), message=message)
    return pb.DownloadedChunk(index=position, failure=failure)
