"""The request chain: all that happens to an RPC before and after its handler, in this order.

1. request id    taken from `x-request-id` or made; on every log line and in the answer's trailer
2. log           one entry per call: method, code, milliseconds, caller
3. error boundary  only here an exception becomes a status; no driver text or traceback leaves
4. parse         the raw bytes become a message: what cannot be parsed is INVALID_ARGUMENT
5. authenticate  credential and repository become `Call.access`, with one check
6. policy        scope, cell, permission, read-only: the RPC's option (shared/rpc/policy.py)
7. handler

It wraps the handlers themselves instead of being a gRPC interceptor: an interceptor cannot catch
what grpc.aio makes of undecodable bytes, and costs a measurable part of the throughput.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from shared.errors import DomainError, Reason, batch_too_large, stream_order, undecodable_message
from shared.rpc import boundary
from shared.rpc.admission import Admission
from shared.rpc.call import AccessResolver, Call
from shared.rpc.policy import Policy

RawHandler = Callable[..., Any]
Context = grpc.aio.ServicerContext[Any, Any]
MAX_MESSAGE_BYTES = 4 << 20
MAX_STREAM_MESSAGE_BYTES = 17 << 20


class Chain:
    """Wraps the handlers of one server."""

    def __init__(
        self, resolver: AccessResolver, *, cell: int | None = None, strict: bool = False
    ) -> None:
        """Wraps handlers for the repositories of one cell, or (None) of all.

        `strict`: an error whose reason the RPC does not declare counts as a defect.
        """
        self.resolver = resolver
        self.cell = cell
        self.strict = strict

    def handlers(
        self,
        service: ServiceDescriptor,
        servicer: object,
        *,
        name: str = "",
        policy: Policy | None = None,
    ) -> grpc.GenericRpcHandler:
        """The gRPC handlers of one service; `servicer` has an async method per RPC.

        Each RPC has the policy of its option, unless `policy` is given. Raises ValueError if it has none.
        """
        name = name or service.full_name
        methods = {
            method.name: _raw_handler(
                _Rpc(
                    self,
                    method,
                    f"/{name}/{method.name}",
                    getattr(servicer, method.name),
                    policy or Policy.of(method),
                ),
                method,
            )
            for method in service.methods
        }
        return grpc.method_handlers_generic_handler(name, methods)


class _Rpc:
    """The chain around one method."""

    def __init__(
        self, chain: Chain, method: MethodDescriptor, path: str, handler: RawHandler, policy: Policy
    ) -> None:
        self.chain = chain
        self.handler = handler
        self.path = path
        self.policy = policy
        self.admission = Admission(chain.resolver, policy, chain.cell)
        self.limit = MAX_STREAM_MESSAGE_BYTES if policy.large_messages else MAX_MESSAGE_BYTES
        self.request_type = GetMessageClass(method.input_type)

    async def unary_unary(self, data: bytes, context: Context) -> bytes:
        """One request, one response."""
        async with self._boundary(context) as call:
            request = self._parse(data)
            await self.admission.admit(call, request)
            return cast(bytes, (await self.handler(request, call)).SerializeToString())

    async def unary_stream(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        """One request, many responses."""
        async with self._boundary(context) as call:
            request = self._parse(data)
            await self.admission.admit(call, request)
            async with self.admission.watched(call, request):
                async for response in self.handler(request, call):
                    yield response.SerializeToString()

    async def stream_unary(self, data: AsyncIterator[bytes], context: Context) -> bytes:
        """Many requests, one response."""
        async with self._boundary(context) as call:
            first, requests = await self._begin(call, data)
            async with self.admission.watched(call, first):
                return cast(bytes, (await self.handler(requests, call)).SerializeToString())

    async def stream_stream(
        self, data: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        """Many requests, many responses."""
        async with self._boundary(context) as call:
            first, requests = await self._begin(call, data)
            async with self.admission.watched(call, first):
                async for response in self.handler(requests, call):
                    yield response.SerializeToString()

    def _parse(self, data: bytes) -> Message:
        if len(data) > self.limit:
            raise batch_too_large("message", self.limit, len(data))
        try:
            return self.request_type.FromString(data)
        except DecodeError as error:
            raise undecodable_message(self.request_type.DESCRIPTOR.full_name) from error

    async def _begin(
        self, call: Call, data: AsyncIterator[bytes]
    ) -> tuple[Message, AsyncIterator[Message]]:
        """Reads the first message, which names the repository, and admits the call."""
        first: Message | None = None
        async for raw in data:
            first = self._parse(raw)
            break
        if first is None:
            raise stream_order("the stream ended before its first message")
        await self.admission.admit(call, first)
        begun = first

        async def requests() -> AsyncIterator[Message]:
            yield begun
            async for raw in data:
                yield self._parse(raw)

        return first, requests()

    def _translate(self, error: Exception) -> DomainError:
        failure = boundary.translate(error)
        if self.chain.strict and failure.reason not in self.policy.reasons:
            undeclared = Reason.Name(failure.reason)
            return boundary.translate(AssertionError(f"{self.path} does not declare {undeclared}"))
        return failure

    @asynccontextmanager
    async def _boundary(self, context: Context) -> AsyncIterator[Call]:
        """Request id, log entry and error boundary."""
        call = boundary.new_call(self.path, context)
        trailer = (("x-request-id", call.request_id),)
        context.set_trailing_metadata(trailer)
        structlog.contextvars.bind_contextvars(request_id=call.request_id)
        begun = time.perf_counter()
        failure: DomainError | None = None
        outcome = "CANCELLED"
        try:
            try:
                yield call
                outcome = "OK"
            except Exception as error:  # noqa: BLE001  the boundary: nothing may pass it
                failure = self._translate(error)
            if failure is not None:
                outcome = failure.code.name
                await boundary.abort(context, failure, trailer)
        finally:
            boundary.log_call(call, self.policy, outcome, failure, time.perf_counter() - begun)


def _raw_handler(rpc: _Rpc, method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
    """The gRPC handler of an RPC that takes and gives raw bytes."""
    match method.client_streaming, method.server_streaming:
        case False, False:
            return grpc.unary_unary_rpc_method_handler(cast(Any, rpc.unary_unary))
        case False, True:
            return grpc.unary_stream_rpc_method_handler(cast(Any, rpc.unary_stream))
        case True, False:
            return grpc.stream_unary_rpc_method_handler(cast(Any, rpc.stream_unary))
        case _:
            return grpc.stream_stream_rpc_method_handler(cast(Any, rpc.stream_stream))
