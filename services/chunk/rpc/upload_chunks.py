"""UploadChunks: messages in, verified and packed; acknowledgements out.

Three stages work at the same time, each ahead of the next by a bounded distance:

    receive  takes messages and has their chunks verified in threads
    pack     writes verified chunks into packs, in order
    answer   waits for packs to be finalized, in order, and acknowledges

so a pack is made durable while the next one fills. A failure travels down the stages in its place:
what was complete before it is acknowledged first. A call that ends early leaves no open pack. What
arrived before a connection broke is finalized, as after an orderly end: the client finds it when it
comes back. A call that was broken off here, as when the caller has lost the right, is abandoned with
what is in the open pack, the work of two seconds at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.catalog.presence import Presence
from services.chunk.packs.pack_writer import MAX_CHUNKS, Pack, Packs
from services.chunk.rpc.upload_verification import Checked, check
from shared.errors import invalid_field
from shared.rpc.validation import count

# Messages verified or being verified, ahead of the pack that is being written.
_MESSAGES_AHEAD = 2
# Packs being finalized, ahead of the one whose end is awaited.
_PACKS_AHEAD = 1
# So soon a slow client gets its acknowledgements.
_PACK_SECONDS = 2.0
# Of so many messages one is looked up, until one has chunks that are there already. A client that asked
# FindMissingChunks sends none, and looking up takes a tenth of the time.
_LOOKUP_INTERVAL = 16

# How long a stopping server gives broken calls to clear up.
_LINGER_SECONDS = 5.0

Result = TypeVar("Result")
# What goes from stage to stage: work under way, a failure, or the end.
_Queue: TypeAlias = asyncio.Queue["asyncio.Task[Result] | Exception | None"]


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
        self._ending: set[asyncio.Task[None]] = set()
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def stream(
        self, repository: UUID, requests: AsyncIterator[pb.UploadChunksRequest]
    ) -> AsyncIterator[pb.UploadChunksResponse]:
        """The acknowledgements of one call."""
        return _Upload(self, repository).answers(requests)

    def begin(self) -> None:
        """Notes that a call has begun."""
        self._calls += 1
        self._idle.clear()

    async def end(self, work: Coroutine[Any, Any, None]) -> None:
        """Does what ends a call, completely, whatever ended the call and however often."""
        ending = asyncio.create_task(work)
        self._ending.add(ending)
        ending.add_done_callback(self._ended)
        await asyncio.shield(ending)

    def _ended(self, ending: asyncio.Task[None]) -> None:
        self._ending.discard(ending)
        self._calls -= 1
        if self._calls == 0:
            self._idle.set()

    async def linger(self) -> None:
        """Waits, when the server stops, until the calls have cleared up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), _LINGER_SECONDS)


class _Upload:
    """One call."""

    def __init__(self, uploads: Uploads, repository: UUID) -> None:
        self._uploads = uploads
        self._repository = repository
        self._batch = _Batch(uploads.packs.begin(), 0)
        self._checks: _Queue[Checked] = asyncio.Queue(_MESSAGES_AHEAD)
        self._closings: _Queue[pb.UploadChunksResponse] = asyncio.Queue(_PACKS_AHEAD)
        self._stages: set[asyncio.Task[Any]] = set()
        self._closing: set[asyncio.Task[Any]] = set()
        self._has_found = False

    async def answers(
        self, requests: AsyncIterator[pb.UploadChunksRequest]
    ) -> AsyncIterator[pb.UploadChunksResponse]:
        """Runs the stages, and is the last of them."""
        self._uploads.begin()
        self._run(_stage(self._receive(requests), self._checks))
        self._run(_stage(self._pack(), self._closings))
        try:
            while (closing := _taken(await self._closings.get())) is not None:
                # Only waited for: a finalize is not broken off.
                await asyncio.wait({closing})
                self._closing.discard(closing)
                yield closing.result()
        finally:
            await self._uploads.end(self._end())

    async def _end(self) -> None:
        """Stops what is still under way, and leaves no pack behind that is not complete."""
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
                raise invalid_field("repository", "belongs into the first message and no other")
            count("chunks", request.chunks, MAX_CHUNKS, least=0)
            await self._checks.put(self._run(self._check(request, number)))
            number += 1

    async def _check(self, request: pb.UploadChunksRequest, number: int) -> Checked:
        """Verifies the chunks of a message, and leaves out what is there already."""
        checked = await check(request, self._uploads.threads)
        if not checked.chunks or not (self._has_found or number % _LOOKUP_INTERVAL == 0):
            return checked
        digests = [chunk.digest for chunk in checked.chunks]
        kept = await self._uploads.presence.kept(self._repository, digests)
        self._has_found = bool(kept)
        fresh = [chunk for chunk in checked.chunks if chunk.digest not in kept]
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

    async def _next(self) -> Checked | None:
        """The next message, None after the last; closes the batch if it has to wait too long."""
        while True:
            try:
                async with asyncio.timeout_at(self._batch.closes_at):
                    item = await self._checks.get()
            except TimeoutError:
                await self._close()
                continue
            checking = _taken(item)
            if checking is None:
                return None
            checked = await checking
            self._stages.discard(checking)
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
            acknowledged_message_count=batch.messages,
            failures=batch.failures,
            stored_chunk_count=stored.chunks,
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
