"""One sender of chunks: it opens a stream, writes groups of pieces, and repeats that after a break."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import grpc
from dits.chunk.v1.chunk_service_pb2 import ChunkFailure, UploadChunksResponse
from dits.common.v1.error_reason_pb2 import ERROR_REASON_CONTENT_MISMATCH

from dits_client.content.compression import Compressor
from dits_client.content.sources import Piece, PieceReader, changed_file_error
from dits_client.errors import ClientError, RemoteError
from dits_client.progress import Stage
from dits_client.server.backoff import STREAM_ATTEMPTS, Backoff
from dits_client.server.repository import RepositoryClient
from dits_client.server.stream_watch import StreamWatch
from dits_client.terminal import quote_text
from dits_client.transfer import wire
from dits_client.transfer.work_queue import Taker, WorkQueue, WorkStopped

# Limits of one message, before compression.
MESSAGE_BYTES = 1 << 20
MESSAGE_CHUNKS = 4000
_METHOD = "/dits.chunk.v1.ChunkService/UploadChunks"

PieceGroup = Sequence[Piece]


@dataclass(slots=True)
class UploadReport:
    """The result of an upload."""

    chunks_sent: int = 0
    # Bytes of the messages, with repeated ones.
    bytes_sent: int = 0
    # Chunks that were new to the server, and their bytes as stored.
    chunks_stored: int = 0
    bytes_stored: int = 0

    def add(self, other: "UploadReport") -> None:
        """Add the numbers of another sender."""
        self.chunks_sent += other.chunks_sent
        self.bytes_sent += other.bytes_sent
        self.chunks_stored += other.chunks_stored
        self.bytes_stored += other.bytes_stored


class Attempt(Taker[PieceGroup]):
    """One stream: the groups that it took, and the error that ended its writing side."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged = 0
        self.error: ClientError | None = None


class Sender:
    """Sends groups until there are no more, in a thread of its own."""

    def __init__(
        self,
        repository: RepositoryClient,
        groups: WorkQueue[PieceGroup],
        stop: threading.Event,
        stage: Stage,
        regroup: Callable[[list[PieceGroup]], list[PieceGroup]],
    ) -> None:
        """Take the groups; `regroup` returns what is still to be sent of some whose stream broke."""
        self.report = UploadReport()
        self._repository = repository
        self._groups = groups
        self._stop = stop
        self._stage = stage
        self._regroup = regroup
        # Without a serialiser: the messages are bytes.
        self._method: grpc.StreamStreamMultiCallable[bytes, UploadChunksResponse] = (
            repository.chunk_channel.stream_stream(
                _METHOD, response_deserializer=UploadChunksResponse.FromString
            )
        )
        self._call: grpc.Call | None = None

    def send_all(self) -> None:
        """Send all groups of the queue. Raises ClientError."""
        backoff = Backoff(STREAM_ATTEMPTS)
        while True:
            attempt = Attempt()
            first = self._groups.take_item(attempt)
            if first is None:
                return
            try:
                self._send(attempt, first, backoff)
            except RemoteError as error:
                broken = self._groups.withdraw(attempt)
                if attempt.error is not None:
                    raise attempt.error from None
                backoff.wait(error)
                left = self._regroup(broken)
                self.report.chunks_sent += sum(map(len, broken)) - sum(map(len, left))
                self._groups.put_back(left)

    def cancel(self) -> None:
        """End the stream that runs."""
        if self._call is not None:
            self._call.cancel()

    def _send(self, attempt: Attempt, first: PieceGroup, backoff: Backoff) -> None:
        """Open a stream and use it until there is nothing more to send, or it breaks."""
        watch = StreamWatch(lambda: bool(attempt.unfinished))
        messages = self._messages(attempt, first, watch)
        call = self._method(messages, metadata=self._repository.metadata)
        self._call = call
        if self._stop.is_set():
            call.cancel()
        try:
            for response in self._repository.read_stream(call, watch):
                # What is repeated, while the server works, is a sign of life and no progress.
                if self._acknowledge(attempt, response):
                    backoff.reset()
        finally:
            # If the stream itself failed or ended, this does nothing.
            call.cancel()
        if attempt.error is not None:
            raise attempt.error
        if attempt.unfinished:
            message = "the server ended an upload before it had everything"
            raise RemoteError(message, code="UNAVAILABLE", retry_after=0.1)

    def _messages(self, attempt: Attempt, first: PieceGroup, watch: StreamWatch) -> Iterator[bytes]:
        """Yield the messages of one stream, in a thread of gRPC, which must not see an error."""
        writer = _MessageWriter()
        opening = wire.encode_repository(self._repository.name)
        group: PieceGroup | None = first
        try:
            while group is not None and not self._stop.is_set():
                message = writer.write_message(opening, group)
                self.report.bytes_sent += len(message)
                yield message
                watch.note_progress()
                opening = b""
                group = self._groups.take_item(attempt)
        except ClientError as error:
            attempt.error = error
        except WorkStopped:
            return
        finally:
            writer.close()

    def _acknowledge(self, attempt: Attempt, response: UploadChunksResponse) -> bool:
        """Note what is durable; return whether there is more of it."""
        for failure in response.failures:
            raise _refused_chunk_error(attempt, failure)
        count = response.acknowledged_message_count - attempt.acknowledged
        attempt.acknowledged = response.acknowledged_message_count
        for group in self._groups.finish_items(attempt, count):
            self.report.chunks_sent += len(group)
            self._stage.advance(sum(piece.size for piece in group))
        self.report.chunks_stored += response.stored_chunk_count
        self.report.bytes_stored += response.stored_bytes
        return count > 0


class _MessageWriter:
    """Reads, compresses and encodes pieces; each thread needs its own."""

    def __init__(self) -> None:
        self._reader = PieceReader()
        self._compressor = Compressor()
        self._buffer = memoryview(bytearray(MESSAGE_BYTES))

    def write_message(self, opening: bytes, group: PieceGroup) -> bytes:
        """Return the bytes of one UploadChunksRequest."""
        total = sum(piece.size for piece in group)
        if total > len(self._buffer):
            self._buffer = memoryview(bytearray(total))
        views: list[memoryview] = []
        end = 0
        for piece in group:
            start, end = end, end + piece.size
            views.append(self._buffer[start:end])
            self._reader.read_into(views[-1], piece)
        histories = [piece.source.history for piece in group]
        parts: list[bytes | memoryview] = [opening]
        for piece, view, frame in zip(
            group, views, self._compressor.compress(views, histories), strict=True
        ):
            compression = wire.NONE if frame is None else wire.ZSTD
            data = view if frame is None else frame
            parts += (
                wire.encode_chunk_header(piece.hash, piece.size, compression, len(data)),
                data,
            )
        return b"".join(parts)

    def close(self) -> None:
        self._reader.close()


def _refused_chunk_error(attempt: Attempt, failure: ChunkFailure) -> ClientError:
    """Return the error for a chunk that the server did not take."""
    labels = [
        piece.source.label
        for group in attempt.unfinished
        for piece in group
        if piece.hash == failure.hash
    ]
    label = labels[0] if labels else failure.hash.hex()
    # The server hashed other bytes than the client: the file was changed in between.
    if failure.reason == ERROR_REASON_CONTENT_MISMATCH:
        return changed_file_error(label)
    return ClientError(f"the server did not take a part of {quote_text(label)}: {failure.message}")
