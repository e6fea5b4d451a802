"""UploadChunks: messages in, verified and packed; acknowledgements out.

Three stages work at the same time, each ahead of the next by a bounded distance:

    receive  takes messages and has their chunks verified in threads
    pack     writes verified chunks into packs, in order
    answer   waits for packs to be finalized, in order, and acknowledges, again while that takes long

so a pack is made durable while the next one fills. A failure travels down the stages in its place:
what was complete before it is acknowledged first. A call that ends early leaves no open pack. What
arrived before a connection broke is finalized, as after an orderly end: the client finds it when it
comes back. A call that the server breaks off, for example because the caller has lost the right,
abandons the open pack, which holds the work of two seconds at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.catalog.presence import Presence
from services.chunk.catalog.storage_quota import StorageQuota
from services.chunk.packs.pack import MAX_CHUNKS
from services.chunk.packs.pack_writer import PackWriter, store_for_owner
from services.chunk.rpc.open_calls import OpenCalls
from services.chunk.rpc.upload_batch import UploadBatch
from services.chunk.rpc.upload_message import UploadMessage
from services.chunk.rpc.upload_stages import StageQueue, raise_failure, run_stage
from services.chunk.rpc.upload_verification import VerifiedMessage, make_key_failure, verify_message
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.call import Call
from shared.rpc.validation import count

# Messages verified or being verified, ahead of the pack that is being written.
_MESSAGES_AHEAD = 2
# Packs being finalized, ahead of the one whose end is awaited.
_PACKS_AHEAD = 1
# Clients give up a stream that is silent for a minute. While messages wait, this goes on for ten.
_REPEAT_SECONDS = 20.0
_MOST_REPEATS = 30
# One message in 16 is looked up, until one has chunks that are there already. A client that asked
# FindMissingChunks sends none, and looking up takes a tenth of the time.
_LOOKUP_INTERVAL = 16

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Uploads:
    """What the upload streams share.

    Attributes:
        writer: writes the packs.
        presence: tells which chunks the repository keeps.
        quota: reserves room.
        threads: verify chunks.
        pack_bytes: size at which a pack is finalized.
        calls: the streams that are not cleared up yet.
        budget: of bytes that are received and not written yet.
    """

    writer: PackWriter
    presence: Presence
    quota: StorageQuota
    threads: ThreadPoolExecutor
    pack_bytes: int
    calls: OpenCalls
    budget: ByteBudget

    def store_chunks(
        self, call: Call, requests: AsyncIterator[UploadMessage]
    ) -> AsyncGenerator[pb.UploadChunksResponse, None]:
        """Stores the chunks of one call; yields its acknowledgements."""
        return _UploadStream(self, call).acknowledge_messages(requests)


class _UploadStream:
    """One call."""

    def __init__(self, uploads: Uploads, call: Call) -> None:
        self._uploads = uploads
        self._hold = uploads.budget.hold(call.holder)
        self._call = call
        self._repository_id = call.repository.id
        self._batch = UploadBatch(uploads.writer.begin_pack(self._repository_id), 0)
        self._verifications: StageQueue[VerifiedMessage] = asyncio.Queue(_MESSAGES_AHEAD)
        self._acknowledgements: StageQueue[pb.UploadChunksResponse] = asyncio.Queue(_PACKS_AHEAD)
        self._stages: set[asyncio.Task[Any]] = set()
        self._finalizations: set[asyncio.Task[Any]] = set()
        self._has_kept_chunks = False
        self._reservation: UUID | None = None
        self._received = 0

    async def acknowledge_messages(
        self, requests: AsyncIterator[UploadMessage]
    ) -> AsyncGenerator[pb.UploadChunksResponse, None]:
        """Runs the stages, and is the last of them."""
        self._uploads.calls.add_call()
        self._start(run_stage(self._receive(requests), self._verifications))
        self._start(run_stage(self._pack(), self._acknowledgements))
        acknowledged = 0
        try:
            while True:
                answer, repeats = self._start(self._next_answer()), 0
                while not (await asyncio.wait({answer}, timeout=_REPEAT_SECONDS))[0]:
                    if acknowledged < self._received and repeats < _MOST_REPEATS:
                        repeats += 1
                        yield pb.UploadChunksResponse(acknowledged_message_count=acknowledged)
                if (response := answer.result()) is None:
                    return
                self._stages.discard(answer)
                acknowledged = response.acknowledged_message_count
                yield response
        finally:
            with self._hold:
                await self._uploads.calls.end_call(self._clear_up())

    async def _next_answer(self) -> pb.UploadChunksResponse | None:
        """Third stage: returns the next acknowledgement, None after the last."""
        finalization = raise_failure(await self._acknowledgements.get())
        if finalization is None:
            return None
        # Only waited for: a finalization is not cancelled.
        await asyncio.wait({finalization})
        self._finalizations.discard(finalization)
        return finalization.result()

    async def _clear_up(self) -> None:
        """Stops what is still under way, and leaves no pack behind that is not complete."""
        for task in self._stages:
            task.cancel()
        await asyncio.gather(*self._stages, *self._finalizations, return_exceptions=True)
        await self._uploads.writer.abandon_pack(self._batch.pack)
        await self._uploads.quota.release_room(self._repository_id, self._reservation)

    def _start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.create_task(work)
        self._stages.add(task)
        return task

    async def _receive(self, requests: AsyncIterator[UploadMessage]) -> None:
        """First stage."""
        async for request in requests:
            number, self._received = self._received, self._received + 1
            if number:
                request.refuse_first_fields()
            else:
                planned = request.planned_bytes
                name = await self._uploads.quota.reserve_room(self._repository_id, planned)
                self._reservation = self._batch.pack.reservation = name
            count("chunks", request.chunks, MAX_CHUNKS, least=0)
            await self._hold.grow(request.size)
            await self._verifications.put(self._start(self._verify(request, number)))

    async def _verify(self, request: UploadMessage, number: int) -> VerifiedMessage:
        """Verifies the chunks of a message, and leaves out those that the repository keeps."""
        verified = await verify_message(request, self._uploads.threads)
        is_looked_up = self._has_kept_chunks or number % _LOOKUP_INTERVAL == 0
        if not verified.chunks or not is_looked_up:
            return verified
        digests = [chunk.digest for chunk in verified.chunks if not chunk.encryption_key_id]
        kept = await self._uploads.presence.find_kept_chunks(self._repository_id, digests)
        self._has_kept_chunks = bool(kept)
        fresh = [c for c in verified.chunks if c.encryption_key_id or c.digest not in kept]
        return verified._replace(chunks=fresh)

    async def _pack(self) -> None:
        """Second stage."""
        clock = asyncio.get_running_loop().time
        while (verified := await self._next_message()) is not None:
            if self._batch.total + verified.total > MAX_CHUNKS:
                await self._close_batch()
            batch = self._batch
            batch.add(verified, clock())
            await self._uploads.writer.append_chunks(batch.pack, verified.chunks)
            self._hold.release(verified.size)
            is_idle = all(each.done() for each in self._finalizations)
            if batch.is_full(self._uploads.pack_bytes, clock(), is_idle=is_idle):
                await self._close_batch()
        await self._close_batch()

    async def _next_message(self) -> VerifiedMessage | None:
        """Returns the next message, None after the last; closes the batch if it waits too long."""
        while True:
            try:
                async with asyncio.timeout_at(self._batch.closes_at):
                    item = await self._verifications.get()
            except TimeoutError:
                await self._close_batch()
                continue
            verification = raise_failure(item)
            if verification is None:
                return None
            verified = await verification
            self._stages.discard(verification)
            return verified

    async def _close_batch(self) -> None:
        """Has the batch finalized, and begins another."""
        batch = self._batch
        if batch.closes_at is None:
            return
        pack = self._uploads.writer.begin_pack(self._repository_id)
        pack.reservation = self._reservation
        self._batch = UploadBatch(pack, batch.messages)
        finalization = asyncio.create_task(self._finalize(batch))
        self._finalizations.add(finalization)
        await self._acknowledgements.put(finalization)

    async def _finalize(self, batch: UploadBatch) -> pb.UploadChunksResponse:
        writer, around = self._uploads.writer, partial(store_for_owner, call=self._call)
        stored = await writer.finalize_pack(batch.pack, self._repository_id, around)
        return pb.UploadChunksResponse(
            acknowledged_message_count=batch.messages,
            failures=[*batch.failures, *map(make_key_failure, stored.conflicts)],
            stored_chunk_count=stored.chunk_count,
            stored_bytes=stored.byte_count,
        )
