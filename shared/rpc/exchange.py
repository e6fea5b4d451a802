"""The messages of one call, read and written with bounds on size and on silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol, cast

import grpc
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from shared.errors import (
    batch_too_large,
    server_busy,
    stream_idle,
    stream_order,
    undecodable_message,
)
from shared.rpc.amounts import Amounts
from shared.rpc.rpc_metrics import RpcMeter
from shared.rpc.slots import RETRY_SECONDS, Slot
from shared.rpc.wire_gate import FREE_BYTES, MAX_ELEMENTS, count_elements, require_bounded

Context = grpc.aio.ServicerContext[Any, Any]
# Up to so many elements and bytes a message is parsed on the event loop; a larger one in a thread. That its
# bytes were taken from gRPC is in the same step, and costs as much as to parse them again.
_ELEMENTS_ON_LOOP = 4_096
_BYTES_ON_LOOP = 4 << 20


def find_request_type(handler: object, method: MethodDescriptor) -> type[Message]:
    """Returns the class of an RPC's requests: what REQUEST_TYPES of its servicer names, or protobuf's.

    The former has FromString and DESCRIPTOR, and the attributes that the policy and the handler read.
    """
    own = getattr(type(getattr(handler, "__self__", None)), "REQUEST_TYPES", {})
    return own.get(method.name) or GetMessageClass(method.input_type)


class Serializable(Protocol):
    """A response message, or one that was encoded by hand."""

    def SerializeToString(self) -> bytes:
        """Returns its bytes."""


class Exchange:
    """What goes to and fro in one call.

    Silence is measured over both directions: a caller that takes responses may be slow to send, and the
    other way round.
    """

    def __init__(
        self,
        context: Context,
        request_type: type[Message],
        limit: int,
        idle_seconds: float,
        meter: RpcMeter,
        used: Amounts,
    ) -> None:
        """`limit`: most bytes of a message; `idle_seconds`: the longest silence; `used` counts bytes."""
        self._context = context
        self._request_type = request_type
        self._descriptor = cast(Descriptor, request_type.DESCRIPTOR)
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._meter = meter
        self._used = used
        self._pending: set[asyncio.Timeout] = set()
        self._has_begun = False
        self._gives_way = 0

    async def read_first(self, seconds: float, slot: Slot) -> Message | None:
        """Returns the first message; None if there is none.

        Raises STREAM_IDLE after `seconds`, SERVER_BUSY if another call needs the slot before.
        """
        slot.begin_silence(self.give_way)
        try:
            return await self._read(seconds)
        finally:
            slot.end_silence()

    def give_way(self, limit: int) -> None:
        """Ends the wait for a message, with SERVER_BUSY: another call gets the slot, of so many."""
        self._gives_way = limit
        for waiting in self._pending:
            if not waiting.expired():
                waiting.reschedule(asyncio.get_running_loop().time())

    async def messages(self, first: Message) -> AsyncIterator[Any]:
        """Yields the first message, which was read before, and all that follow."""
        yield first
        while (message := await self._read(self._idle_seconds)) is not None:
            yield message

    async def write(self, response: Serializable) -> None:
        """Sends one message. Raises STREAM_IDLE if the caller takes nothing for too long."""
        data = response.SerializeToString()
        self._meter.count_sent(len(data))
        try:
            async with asyncio.timeout(self._idle_seconds) as waiting:
                self._pending.add(waiting)
                await self._begin()
                await self._context.write(data)
        except TimeoutError:
            raise stream_idle(self._idle_seconds) from None
        except grpc.aio.InternalError:
            # The caller has gone; that the call is cancelled, gRPC says only later.
            raise asyncio.CancelledError from None
        finally:
            self._pending.discard(waiting)
        self._used.sent += len(data)
        self._note_progress()

    async def _begin(self) -> None:
        """Sends the metadata, once.

        Together with the first message they would be sent twice when that is broken off, which gRPC
        refuses: no status would ever reach a caller that takes nothing.
        """
        if not self._has_begun:
            self._has_begun = True
            await self._context.send_initial_metadata(())

    async def _read(self, seconds: float) -> Message | None:
        try:
            async with asyncio.timeout(seconds) as waiting:
                self._pending.add(waiting)
                data = await self._context.read()
        except TimeoutError:
            if self._gives_way:
                text = "the call has said nothing, and others of its caller need its place"
                raise server_busy(text, RETRY_SECONDS, self._gives_way) from None
            raise stream_idle(seconds) from None
        finally:
            self._pending.discard(waiting)
        self._note_progress()
        if data is grpc.aio.EOF:
            return None
        self._meter.count_received(len(data))
        self._used.received += len(data)
        return await self._parse(data)

    def _note_progress(self) -> None:
        """Gives the other direction, if it waits, all of its time again."""
        if not self._pending:
            return
        when = asyncio.get_running_loop().time() + self._idle_seconds
        for waiting in self._pending:
            if (waiting.when() or 0) < when and not waiting.expired():
                waiting.reschedule(when)

    async def _parse(self, data: bytes) -> Message:
        if len(data) > self._limit:
            raise batch_too_large("message", self._limit, len(data))
        if len(data) <= FREE_BYTES:
            return self._decode(data)
        if len(data) > _BYTES_ON_LOOP:
            return await asyncio.to_thread(self._decode_large, data)
        if count_elements(data, self._descriptor, _ELEMENTS_ON_LOOP) <= _ELEMENTS_ON_LOOP:
            return self._decode(data)
        return await asyncio.to_thread(self._decode_large, data)

    def _decode_large(self, data: bytes) -> Message:
        require_bounded(data, self._descriptor, MAX_ELEMENTS)
        return self._decode(data)

    def _decode(self, data: bytes) -> Message:
        try:
            return self._request_type.FromString(data)
        except DecodeError as error:
            raise undecodable_message(self._request_type.DESCRIPTOR.full_name) from error


def require_first(message: Message | None) -> Message:
    """Returns the message. Raises STREAM_ORDER if there is none."""
    if message is None:
        raise stream_order("the call ended before its first message")
    return message
