"""DownloadChunks: looks chunks up, and sends them in the order in which they lie."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from uuid import UUID

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.catalog.access_times import AccessTimes
from services.chunk.catalog.extents import Extent, Extents
from services.chunk.packs.chunk_reader import ChunkReader, Piece
from services.chunk.rpc.response_encoder import EncodedResponse, encode_piece, make_failed_chunk
from services.chunk.runtime.read_ahead import ReadAhead, Step
from shared.errors import chunk_archived, not_found, range_beyond_end
from shared.rpc.byte_budget import ByteBudget

# Chunks that are looked up, and sorted, at a time: while they are sent, the next ones are looked up.
_WINDOW = 2000
_MESSAGE_BYTES = 1 << 20
_MESSAGE_FAILURES = 1000
# As read, as encoded, and as gRPC sends it.
_COPIES = 3
# Messages that are read and verified ahead of the one that is being sent.
_MESSAGES_AHEAD = 3


class Downloads:
    """Sends chunks."""

    def __init__(
        self, extents: Extents, reader: ChunkReader, access_times: AccessTimes, budget: ByteBudget
    ) -> None:
        self._budget = budget
        self._extents = extents
        self._reader = reader
        self._access_times = access_times

    async def send_chunks(
        self,
        holder: object,
        repository_id: UUID,
        digests: Sequence[bytes],
        ranges: Sequence[pb.ByteRange],
    ) -> AsyncGenerator[pb.DownloadChunksResponse | EncodedResponse, None]:
        """Yields the messages that answer a request.

        `ranges` are as many as `digests`, or none: then the chunks are sent whole. What is read ahead
        counts for `holder`.
        """
        starts = range(0, len(digests), _WINDOW)
        locate = partial(self._extents.locate_chunks, repository_id)
        lookups = (Step(0, partial(locate, digests[at : at + _WINDOW])) for at in starts)
        with self._budget.hold(holder) as hold:
            async with ReadAhead(lookups, 1, hold) as located:
                for start in starts:
                    extents = await anext(located)
                    read = (digest for digest, each in extents.items() if not each.is_archived)
                    self._access_times.note_chunks(repository_id, read)
                    positions = range(start, min(start + _WINDOW, len(digests)))
                    pieces, failures = _resolve_positions(positions, digests, ranges, extents)
                    for message in _failure_messages(failures):
                        yield message
                    groups = _split_pieces(sorted(pieces))
                    work = partial(self._read_message, repository_id)
                    reads = (Step(_size_of(group), partial(work, group)) for group in groups)
                    async with ReadAhead(reads, _MESSAGES_AHEAD, hold) as messages:
                        async for response in messages:
                            yield response

    async def _read_message(self, repository_id: UUID, pieces: Sequence[Piece]) -> EncodedResponse:
        return EncodedResponse(await self._reader.read_pieces(repository_id, pieces, encode_piece))


def _resolve_positions(
    positions: Iterable[int],
    digests: Sequence[bytes],
    ranges: Sequence[pb.ByteRange],
    extents: Mapping[bytes, Extent],
) -> tuple[list[Piece], list[pb.DownloadedChunk]]:
    """Returns what has to be read, and what is sent in place of chunks that cannot be sent."""
    pieces: list[Piece] = []
    failures: list[pb.DownloadedChunk] = []
    for position in positions:
        digest = digests[position]
        extent = extents.get(digest)
        if extent is None:
            error = not_found("chunk", digest.hex())
            failures.append(make_failed_chunk(position, digest, error))
        elif extent.is_archived:
            failures.append(make_failed_chunk(position, digest, chunk_archived(digest.hex())))
        elif not ranges:
            pieces.append(Piece(extent, position, None))
        elif ranges[position].offset >= extent.size:
            error = range_beyond_end(extent.size)
            failures.append(make_failed_chunk(position, digest, error))
        else:
            first, length = ranges[position].offset, ranges[position].length
            pieces.append(Piece(extent, position, slice(first, first + length if length else None)))
    return pieces, failures


def _size_of(group: Iterable[Piece]) -> int:
    """Returns the bytes that a message of these pieces holds, at most."""
    return _COPIES * sum(max(piece.extent.size, piece.extent.length) for piece in group)


def _split_pieces(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Splits a list into parts that make a message each."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        if group and size + piece.extent.size > _MESSAGE_BYTES:
            yield group
            group, size = [], 0
        group.append(piece)
        size += piece.extent.size
    if group:
        yield group


def _failure_messages(
    failures: Iterable[pb.DownloadedChunk],
) -> Iterator[pb.DownloadChunksResponse]:
    """Yields messages that say what cannot be sent."""
    rest = iter(failures)
    while batch := list(islice(rest, _MESSAGE_FAILURES)):
        yield pb.DownloadChunksResponse(chunks=batch)
