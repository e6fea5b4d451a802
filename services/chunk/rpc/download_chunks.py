"""DownloadChunks: looks chunks up and sends them in the order in which they lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from uuid import UUID

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.background.access_times import Touches
from services.chunk.catalog.extents import Place, Places
from services.chunk.packs.chunk_reader import Piece, Reader, failed
from services.chunk.packs.response_encoder import EncodedResponse
from services.chunk.runtime.read_ahead import Ahead
from shared.errors import not_found, range_beyond_end

# Chunks that are looked up, and sorted, at a time: while they are sent, the next ones are looked up.
_WINDOW = 2000
_MESSAGE_BYTES = 1 << 20
_MESSAGE_FAILURES = 1000
# Messages that are read and verified ahead of the one that is being sent.
_MESSAGES_AHEAD = 3


class Downloads:
    """Serves chunks."""

    def __init__(self, places: Places, reader: Reader, touches: Touches) -> None:
        self._places = places
        self._reader = reader
        self._touches = touches

    async def stream(
        self, repository: UUID, digests: Sequence[bytes], ranges: Sequence[pb.ByteRange]
    ) -> AsyncIterator[pb.DownloadChunksResponse | EncodedResponse]:
        """The messages that answer a request.

        `ranges` are as many as `digests`, or none: then the chunks are sent whole.
        """
        starts = range(0, len(digests), _WINDOW)
        lookups = (self._places.locate(repository, digests[at : at + _WINDOW]) for at in starts)
        async with Ahead(lookups, 1) as located:
            for start in starts:
                places = await anext(located)
                self._touches.add(places)
                positions = range(start, min(start + _WINDOW, len(digests)))
                pieces, failures = _resolve(positions, digests, ranges, places)
                for message in _failed(failures):
                    yield message
                groups = _groups(sorted(pieces))
                loads = (self._reader.load(repository, group) for group in groups)
                async with Ahead(loads, _MESSAGES_AHEAD) as loaded:
                    async for response in loaded:
                        yield response


def _resolve(
    positions: Iterable[int],
    digests: Sequence[bytes],
    ranges: Sequence[pb.ByteRange],
    places: Mapping[bytes, Place],
) -> tuple[list[Piece], list[pb.DownloadedChunk]]:
    """What has to be read, and what cannot be sent."""
    pieces: list[Piece] = []
    failures: list[pb.DownloadedChunk] = []
    for position in positions:
        digest = digests[position]
        place = places.get(digest)
        if place is None:
            failures.append(failed(position, digest, not_found("chunk", digest.hex())))
        elif not ranges:
            pieces.append(Piece(place, position, None))
        elif ranges[position].offset >= place.size:
            failures.append(failed(position, digest, range_beyond_end(place.size)))
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
