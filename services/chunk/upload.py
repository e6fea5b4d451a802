"""UploadChunks: messages in, verified and packed; acknowledgements out.

Three stages work at the same time, each ahead of the next by a bounded distance:

    receive  takes messages and has their chunks verified in threads
    pack     writes verified chunks into packs, in order
    answer   waits for packs to be finalized, in order, and acknowledges

so a pack is made durable while the next one fills. A failure travels down the stages in its place:
what was complete before it is acknowledged first. When the call ends early, for whatever reason, the
pack that is not complete is abandoned: its messages were not acknowledged and will be sent again, and
finalizing it would write for a caller who may just have lost the right. It holds at most two seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.content import COMPRESSIONS, Chunk, Mismatch, Opener
from services.chunk.packs import MAX_CHUNKS, Pack, Packs
from services.chunk.presence import Presence
from services.chunk.threads import in_thread
from shared.errors import Reason, invalid
from shared.validation import DIGEST_BYTES, MAX_CHUNK_BYTES, count

# Messages verified or being verified, ahead of the pack that is being written.
_MESSAGES_AHEAD = 2
# Packs being finalized, ahead of the one whose end is awaited.
_PACKS_AHEAD = 1
# So soon a slow client gets its acknowledgements.
_PACK_SECONDS = 2.0
# Of so many messages one is looked up, until one has chunks that are there already. A client that asked
# FindMissingChunks sends none, and looking up takes a tenth of the time.
_LOOKUP_INTERVAL = 16
# Uncompressed bytes that a thread verifies in one go; then other streams have their turn.
_TURN_BYTES = 16 << 20

Result = TypeVar("Result")
# What goes from stage to stage: work under way, a failure, or the end.
_Queue: TypeAlias = asyncio.Queue["asyncio.Task[Result] | Exception | None"]


class _Checked(NamedTuple):
    """A message that was looked through.

    Attributes:
        total: how many chunks it had.
        chunks: those that are intact and have to be written.
        failures: those that are not intact.
    """

    total: int
    chunks: list[Chunk]
    failures: list[pb.ChunkFailure]


@dataclass(slots=True)
class _Batch:
    """Messages that are acknowledged together, once the pack with their chunks is finalized.

    Attributes:
        pack: where the chunks go.
        messages: number of the last message in it; the first of the stream is 1.
        total: chunks in its messages, whatever became of them.
        closes_at: when it is acknowledged at the latest, by the loop's clock; None while empty.
        failures: chunks that were not taken.
    """

    pack: Pack
    messages: int
    total: int = 0
    closes_at: float | None = None
    failures: list[pb.ChunkFailure] = field(default_factory=list)


class Uploads:
    """What the upload streams share."""

    def __init__(
        self, packs: Packs, presence: Presence, threads: ThreadPoolExecutor, pack_bytes: int
    ) -> None:
        self.packs = packs
        self.presence = presence
        self.threads = threads
        self.pack_bytes = pack_bytes
        self._endings: set[asyncio.Task[None]] = set()

    async def stream(
        self, repository: UUID, requests: AsyncIterator[pb.UploadChunksRequest]
    ) -> AsyncIterator[pb.UploadChunksResponse]:
        """The acknowledgements of one call."""
        upload = _Upload(self, repository)
        try:
            async for answer in upload.answers(requests):
                yield answer
        finally:
            # A task of its own: whatever ends the call, and however often, the end is finished.
            ending = asyncio.create_task(upload.end())
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            await asyncio.shield(ending)


class _Upload:
    """One call."""

    def __init__(self, uploads: Uploads, repository: UUID) -> None:
        self._uploads = uploads
        self._repository = repository
        self._batch = _Batch(uploads.packs.begin(), 0)
        self._checks: _Queue[_Checked] = asyncio.Queue(_MESSAGES_AHEAD)
        self._closings: _Queue[pb.UploadChunksResponse] = asyncio.Queue(_PACKS_AHEAD)
        self._stages: set[asyncio.Task[Any]] = set()
        self._closing: set[asyncio.Task[Any]] = set()
        self._has_found = False

    async def answers(
        self, requests: AsyncIterator[pb.UploadChunksRequest]
    ) -> AsyncIterator[pb.UploadChunksResponse]:
        """Runs the stages, and is the last of them."""
        self._run(_stage(self._receive(requests), self._checks))
        self._run(_stage(self._pack(), self._closings))
        while (closing := _taken(await self._closings.get())) is not None:
            # Only waited for: a finalize is not broken off.
            await asyncio.wait({closing})
            self._closing.discard(closing)
            yield closing.result()

    async def end(self) -> None:
        """Ends what is still under way, and leaves no pack behind that is not complete."""
        for task in self._stages:
            task.cancel()
        await asyncio.gather(*self._stages, *self._closing, return_exceptions=True)
        await self._uploads.packs.abandon(self._batch.pack)

    def _run(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.create_task(work)
        self._stages.add(task)
        return task

    async def _receive(self, requests: AsyncIterator[pb.UploadChunksRequest]) -> None:
        """First stage."""
        number = 0
        async for request in requests:
            if number and request.repository:
                raise invalid("repository", "belongs into the first message and no other")
            count("chunks", request.chunks, MAX_CHUNKS, least=0)
            await self._checks.put(self._run(self._check(request, number)))
            number += 1

    async def _check(self, request: pb.UploadChunksRequest, number: int) -> _Checked:
        """Verifies the chunks of a message, and leaves out what is there already."""
        checked = _Checked(len(request.chunks), [], [])
        for turn in _turns(request.chunks):
            await in_thread(self._uploads.threads, _verify, turn, checked)
        if not self._has_found and number % _LOOKUP_INTERVAL != 0:
            return checked
        hashes = [chunk.digest.hex() for chunk in checked.chunks]
        kept = await self._uploads.presence.kept(self._repository, hashes)
        self._has_found = bool(kept)
        fresh = [c for c, name in zip(checked.chunks, hashes, strict=True) if name not in kept]
        return checked._replace(chunks=fresh)

    async def _pack(self) -> None:
        """Second stage."""
        clock = asyncio.get_running_loop().time
        while (checked := await self._next()) is not None:
            if self._batch.total + checked.total > MAX_CHUNKS:
                await self._close()
            batch = self._batch
            batch.messages += 1
            batch.total += checked.total
            batch.closes_at = batch.closes_at or clock() + _PACK_SECONDS
            batch.failures += checked.failures
            await self._uploads.packs.append(batch.pack, checked.chunks)
            if batch.pack.length >= self._uploads.pack_bytes or clock() >= batch.closes_at:
                await self._close()
        await self._close()

    async def _next(self) -> _Checked | None:
        """The next message, None after the last; closes the batch if it has to wait too long."""
        while True:
            try:
                async with asyncio.timeout_at(self._batch.closes_at):
                    item = await self._checks.get()
            except TimeoutError:
                await self._close()
                continue
            check = _taken(item)
            if check is None:
                return None
            checked = await check
            self._stages.discard(check)
            return checked

    async def _close(self) -> None:
        """Has the batch finalized, and begins another."""
        batch = self._batch
        if batch.closes_at is None:
            return
        self._batch = _Batch(self._uploads.packs.begin(), batch.messages)
        closing = asyncio.create_task(self._finalize(batch))
        self._closing.add(closing)
        await self._closings.put(closing)

    async def _finalize(self, batch: _Batch) -> pb.UploadChunksResponse:
        stored = await self._uploads.packs.finalize(batch.pack, self._repository)
        return pb.UploadChunksResponse(
            acknowledged_messages=batch.messages,
            failures=batch.failures,
            stored_chunks=stored.chunks,
            stored_bytes=stored.bytes,
        )


async def _stage(work: Coroutine[Any, Any, None], output: _Queue[Result]) -> None:
    """Runs a stage and tells the next one how it ended."""
    try:
        await work
    except Exception as error:  # noqa: BLE001  not handled here, only passed on
        await output.put(error)
    else:
        await output.put(None)


def _taken(
    item: asyncio.Task[Result] | Exception | None,
) -> asyncio.Task[Result] | None:
    """Raises what an earlier stage failed with."""
    if isinstance(item, Exception):
        raise item
    return item


def _turns(chunks: Iterable[pb.UploadedChunk]) -> Iterator[list[pb.UploadedChunk]]:
    """Cuts a message into pieces of work of about the same size."""
    turn: list[pb.UploadedChunk] = []
    size = 0
    for chunk in chunks:
        turn.append(chunk)
        size += chunk.size
        if size >= _TURN_BYTES:
            yield turn
            turn, size = [], 0
    if turn:
        yield turn


def _verify(turn: Iterable[pb.UploadedChunk], checked: _Checked) -> None:
    """Sorts chunks into the intact and the others."""
    opener = Opener()
    for sent in turn:
        chunk = Chunk(sent.hash, sent.size, COMPRESSIONS.get(sent.compression, ""), sent.data)
        reason = Reason.ERROR_REASON_INVALID_FIELD
        if len(chunk.digest) != DIGEST_BYTES:
            message = f"the hash must have {DIGEST_BYTES} bytes"
        elif not 1 <= chunk.size <= MAX_CHUNK_BYTES:
            message = f"the size must be 1 to {MAX_CHUNK_BYTES}"
        elif not chunk.compression:
            message = "the compression is unknown"
        else:
            try:
                opener.open(chunk)
            except Mismatch as mismatch:
                reason = Reason.ERROR_REASON_CONTENT_MISMATCH
                message = str(mismatch)
            else:
                checked.chunks.append(chunk)
                continue
        # A hash that is too long is not echoed in full: the answer has to fit into a message.
        echo = chunk.digest[:DIGEST_BYTES]
        checked.failures.append(
            pb.ChunkFailure(hash=echo, reason=Reason.Name(reason), message=message)
        )
