"""Upload of chunks: the client asks which chunks the repository lacks, and sends those.

Pieces go through stages with bounded queues between them: `offer_pieces` collects them, one thread calls
FindMissingChunks, a few send. The queues hold only hashes and positions, and the bytes of very small
files; the others are read, most often from the page cache, when their message is written. After a stream
broke, the server is asked again about what it has not acknowledged, and gets what it lacks.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Self

from dits.chunk.v1.chunk_service_pb2 import FindMissingChunksRequest

from dits_client.batches import split_into_batches
from dits_client.content.sources import Piece
from dits_client.errors import ClientError, RemoteError
from dits_client.progress import Progress
from dits_client.server import stream_watch
from dits_client.server.backoff import end_waits_at
from dits_client.server.client import TIMEOUT
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.upload_stream import (
    MESSAGE_BYTES,
    MESSAGE_CHUNKS,
    PieceGroup,
    Sender,
    UploadReport,
)
from dits_client.transfer.work_queue import Taker, WorkQueue, WorkStopped

# The most chunks of one question, and the bytes after which it is asked. The first question has few, so
# that the server begins early; each further one twice as many.
ASK_CHUNKS, FIRST_CHUNKS = 4000, 500
ASK_BYTES = 64 << 20
# Two: while one message is sent, the next is read and compressed.
STREAMS = 2
# The most hashes that are remembered, so that a chunk is not offered twice.
MAX_REMEMBERED = 1 << 20


class Uploader:
    """Takes pieces from any thread; all are acknowledged when `finish` returns."""

    def __init__(
        self,
        repository: RepositoryClient,
        *,
        ask: bool = True,
        progress: Progress | None = None,
    ) -> None:
        """Take the repository; with `ask` false, chunks are sent even if the server has them."""
        # What was offered, and the bytes of what was not offered before.
        self.pieces = self.bytes = 0
        self._repository = repository
        self._ask = ask
        self._stage = (progress or Progress()).start_stage("Uploading")
        self._lock = threading.Lock()
        self._remembered: set[bytes] = set()
        self._waiting: list[Piece] = []
        self._waiting_bytes = 0
        self._ask_chunks = FIRST_CHUNKS
        self._batches: WorkQueue[PieceGroup] = WorkQueue(2)
        self._groups: WorkQueue[PieceGroup] = WorkQueue(16)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._senders = [
            Sender(repository, self._groups, self._stop, self._stage, self._regroup)
            for _ in range(STREAMS)
        ]
        self._threads = [
            threading.Thread(target=self._run_guarded, args=(work,), daemon=True)
            for work in (self._ask_all, *(sender.send_all for sender in self._senders))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join()

    def offer_pieces(self, pieces: Iterable[Piece]) -> None:
        """Send pieces that the server lacks; wait while the queues are full. Raises ClientError."""
        with self._lock:
            for piece in pieces:
                self.pieces += 1
                if piece.hash not in self._remembered:
                    self._remembered.add(piece.hash)
                    self._waiting.append(piece)
                    self._waiting_bytes += piece.size
                    self.bytes += piece.size
            if len(self._remembered) > MAX_REMEMBERED:
                self._remembered.clear()
            full = len(self._waiting) >= self._ask_chunks or self._waiting_bytes >= ASK_BYTES
            batch = self._pop_waiting() if full else []
        self._put(batch)

    def finish(self) -> UploadReport:
        """Wait until all pieces are durable on the server; return what was sent. Raises ClientError."""
        with self._lock:
            batch = self._pop_waiting()
        self._put(batch)
        self._batches.close()
        for thread in self._threads:
            thread.join()
        self._check()
        total = UploadReport()
        for sender in self._senders:
            total.add(sender.report)
        return total

    def _pop_waiting(self) -> list[Piece]:
        batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._ask_chunks = min(2 * self._ask_chunks, ASK_CHUNKS)
        return batch

    def _put(self, batch: list[Piece]) -> None:
        try:
            for part in split_into_batches(batch, max_count=ASK_CHUNKS):
                self._batches.put_item(part)
        except WorkStopped:
            self._check()
            raise

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run_guarded(self, work: Callable[[], None]) -> None:
        """Run the work of a thread; the first error stops all threads and is raised to the caller."""
        end_waits_at(self._stop)
        try:
            work()
        except WorkStopped:
            return
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            with self._lock:
                self._error = self._error or error
            self.stop()

    def stop(self) -> None:
        """Cancel: end every stream and every wait."""
        self._stop.set()
        self._batches.stop()
        self._groups.stop()
        for sender in self._senders:
            sender.cancel()

    def _ask_all(self) -> None:
        """Ask about every batch; pass on the missing pieces in groups, one for each message."""
        taker: Taker[PieceGroup] = Taker()
        while (batch := self._batches.take_item(taker)) is not None:
            missing = self._select_missing(batch) if self._ask else batch
            self._stage.grow(sum(piece.size for piece in missing))
            for group in group_pieces(missing):
                self._groups.put_item(group)
            self._batches.finish_items(taker, 1)
        self._groups.close()

    def _regroup(self, groups: list[PieceGroup]) -> list[PieceGroup]:
        """Return what the server lacks of groups that a broken stream may have brought."""
        if not self._ask:
            return groups
        left: list[Piece] = []
        try:
            for batch in split_into_batches(chain.from_iterable(groups), max_count=ASK_CHUNKS):
                missing = self._select_missing(batch, stream_watch.IDLE_SECONDS)
                self._stage.advance(sum(x.size for x in batch) - sum(x.size for x in missing))
                left += missing
        except RemoteError as error:
            if error.code == "DEADLINE_EXCEEDED":
                # As a stream that is silent for so long.
                self._repository.client.channels.retire()
            elif error.is_absence:
                # The question has waited as long as a stream does.
                raise
            return groups
        return list(group_pieces(left))

    def _select_missing(self, batch: PieceGroup, timeout: float = TIMEOUT) -> PieceGroup:
        hashes = b"".join(piece.hash for piece in batch)
        request = FindMissingChunksRequest(repository=self._repository.name, hashes=hashes)
        ask = self._repository.chunks.FindMissingChunks
        response = self._repository.call(ask, request, timeout)
        bits = response.missing
        if len(bits) != (len(batch) + 7) // 8:
            raise ClientError("the server answered for another number of chunks than was asked")
        return [piece for at, piece in enumerate(batch) if bits[at >> 3] >> (at & 7) & 1]


def group_pieces(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces in groups, each for one message."""
    return split_into_batches(
        pieces,
        max_count=MESSAGE_CHUNKS,
        max_bytes=MESSAGE_BYTES,
        measure=lambda piece: piece.size,
    )
