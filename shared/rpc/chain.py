"""The request chain: all that happens to an RPC before and after its handler, in this order.

1. request id    taken from `x-request-id` or made; on every log line and in the answer's trailer
2. log           one entry per call: method, code, milliseconds, caller
3. error boundary  only here an exception becomes a status; no driver text or traceback leaves
4. parse         the raw bytes become a message: what cannot be parsed is INVALID_ARGUMENT
5. authenticate  credential and repository become `Call.access`, with one check
6. policy        scope, permission, read-only (shared/rpc/policy.py)
7. handler

It wraps the handlers themselves instead of being a gRPC interceptor: an interceptor cannot catch
what grpc.aio makes of undecodable bytes, and costs a measurable part of the throughput.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from shared.errors import (
    DomainError,
    batch_too_large,
    invalid_field,
    repository_read_only,
    stream_order,
    unauthenticated,
    undecodable_message,
)
from shared.formats import credentials
from shared.rpc import boundary
from shared.rpc.call import AccessResolver, Call
from shared.rpc.policy import POLICY, Permission, Policy

log = structlog.get_logger(__name__)

RawHandler = Callable[..., Any]
Context = grpc.aio.ServicerContext[Any, Any]
# Open streams are checked again so that nothing outlives a revocation by more than five seconds.
CACHE_SECONDS = 5.0
STREAM_CHECK_SECONDS = 2.5
MAX_MESSAGE_BYTES = 4 << 20
MAX_STREAM_MESSAGE_BYTES = 17 << 20
BYTE_STREAMS = frozenset(
    {"/dits.repo.v1.CommitService/Push", "/dits.chunk.v1.ChunkService/UploadChunks"}
)


class Chain:
    """Wraps the handlers of one server."""

    def __init__(self, resolver: AccessResolver) -> None:
        self.resolver = resolver

    def handlers(
        self, service: ServiceDescriptor, servicer: object, *, name: str = ""
    ) -> grpc.GenericRpcHandler:
        """The gRPC handlers of one service; `servicer` has an async method per RPC."""
        name = name or service.full_name
        methods = {
            method.name: self._wrap(
                method, f"/{name}/{method.name}", getattr(servicer, method.name)
            )
            for method in service.methods
        }
        return grpc.method_handlers_generic_handler(name, methods)

    def _wrap(
        self, method: MethodDescriptor, path: str, handler: RawHandler
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """A raw-bytes gRPC handler around one handler."""
        rpc = _Rpc(self.resolver, method, path, handler)
        match method.client_streaming, method.server_streaming:
            case False, False:
                return grpc.unary_unary_rpc_method_handler(cast(Any, rpc.unary_unary))
            case False, True:
                return grpc.unary_stream_rpc_method_handler(cast(Any, rpc.unary_stream))
            case True, False:
                return grpc.stream_unary_rpc_method_handler(cast(Any, rpc.stream_unary))
            case _:
                return grpc.stream_stream_rpc_method_handler(cast(Any, rpc.stream_stream))


class _Rpc:
    """The chain around one method."""

    def __init__(
        self, resolver: AccessResolver, method: MethodDescriptor, path: str, handler: RawHandler
    ) -> None:
        self.resolver = resolver
        self.handler = handler
        self.path = path
        self.policy: Policy = POLICY[path]
        self.is_bytes = path in BYTE_STREAMS
        self.request_type = GetMessageClass(method.input_type)

    async def unary_unary(self, data: bytes, context: Context) -> bytes:
        """One request, one response."""
        async with self._boundary(context) as call:
            request = self._parse(data)
            await self._admit(call, request)
            return cast(bytes, (await self.handler(request, call)).SerializeToString())

    async def unary_stream(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        """One request, many responses."""
        async with self._boundary(context) as call:
            request = self._parse(data)
            await self._admit(call, request)
            async with self._watched(call, request):
                async for response in self.handler(request, call):
                    yield response.SerializeToString()

    async def stream_unary(self, data: AsyncIterator[bytes], context: Context) -> bytes:
        """Many requests, one response."""
        async with self._boundary(context) as call:
            first, requests = await self._begin(call, data)
            async with self._watched(call, first):
                return cast(bytes, (await self.handler(requests, call)).SerializeToString())

    async def stream_stream(
        self, data: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        """Many requests, many responses."""
        async with self._boundary(context) as call:
            first, requests = await self._begin(call, data)
            async with self._watched(call, first):
                async for response in self.handler(requests, call):
                    yield response.SerializeToString()

    def _parse(self, data: bytes) -> Message:
        limit = MAX_STREAM_MESSAGE_BYTES if self.is_bytes else MAX_MESSAGE_BYTES
        if len(data) > limit:
            raise batch_too_large("message", limit, len(data))
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
        await self._admit(call, first)
        begun = first

        async def requests() -> AsyncIterator[Message]:
            yield begun
            async for raw in data:
                yield self._parse(raw)

        return first, requests()

    def _repository(self, request: Message) -> str:
        """The repository that a request names."""
        if self.policy.permission is Permission.NONE:
            return ""
        holder = request
        if self.path == "/dits.repo.v1.CommitService/Push":
            holder = cast(Any, request).header
        name = str(cast(Any, holder).repository)
        if not name:
            raise invalid_field("repository", "must name a repository: a UUID or owner/name")
        return name

    async def _admit(self, call: Call, request: Message, max_age: float = CACHE_SECONDS) -> None:
        """Authenticates the caller and holds the call against its policy."""
        policy = self.policy
        if policy.quiet:
            return
        repository = self._repository(request)
        if call.token is None and not policy.anonymous:
            raise unauthenticated()
        if call.token is not None and not credentials.well_formed(call.token):
            raise unauthenticated()
        if call.token is None and not repository:
            return
        call.access = await self.resolver.resolve(call.token, repository, max_age)
        if call.access.caller is not None:
            call.access.caller.require_scope(policy.scope)
        if repository:
            call.repository.require(policy.permission)
            if policy.mutates and call.repository.read_only:
                raise repository_read_only()

    @asynccontextmanager
    async def _watched(self, call: Call, request: Message) -> AsyncIterator[None]:
        """Checks an open stream's right again and again; ends it when the right is gone."""
        if self.policy.quiet:
            yield
            return
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        refused: list[DomainError] = []

        async def watch() -> None:
            while True:
                await asyncio.sleep(STREAM_CHECK_SECONDS)
                try:
                    await self._admit(call, request, max_age=STREAM_CHECK_SECONDS / 2)
                except DomainError as error:
                    refused.append(error)
                    task.cancel()
                    return

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if not refused:
                raise
            task.uncancel()
            raise refused[0] from None
        finally:
            watcher.cancel()

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
            except DomainError as error:
                failure = error
            except Exception as error:  # noqa: BLE001  the boundary: nothing may pass it
                failure = boundary.translate(error)
            if failure is not None:
                outcome = failure.code.name
                await boundary.abort(context, failure, trailer)
        finally:
            boundary.log_call(call, self.policy, outcome, failure, time.perf_counter() - begun)
