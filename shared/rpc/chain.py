"""The request chain: all that happens to an RPC before and after its handler, in this order.

1. request id    taken from `x-request-id` or made; on every log line and in the answer's trailer
2. log           one entry per call: method, code, milliseconds, caller; and the metrics
3. error boundary  only here an exception becomes a status; no driver text or traceback leaves
4. slot          a bounded number of calls is under way, in all and for each caller (slots.py)
5. authenticate  the credential is judged on the metadata, before anything of the body is read
6. read          the first message: in time, bounded, parsed (exchange.py)
7. policy        scope, cell, permission, read-only, sudo: the RPC's option (policy.py, admission.py)
8. usage         the call counts from here on (usage.py)
9. handler

It wraps the handlers themselves instead of being a gRPC interceptor: an interceptor cannot catch
what grpc.aio makes of undecodable bytes, and costs a measurable part of the throughput. Every RPC is
registered as a streaming one, whatever its proto says, because grpc.aio receives the whole request
of a unary RPC before it asks anybody; on the wire there is no difference.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

import grpc
import structlog
from dits.common.v1.access_pb2 import COUNTING_UNSPECIFIED
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from shared.errors import DomainError, Reason
from shared.rpc import boundary
from shared.rpc.admission import Admission
from shared.rpc.call import AccessResolver, Call
from shared.rpc.exchange import Context, Exchange, find_request_type, require_first
from shared.rpc.limits import Limits
from shared.rpc.peer_address import PeerAddresses
from shared.rpc.policy import INFRASTRUCTURE, Policy
from shared.rpc.rpc_metrics import RpcMeter
from shared.rpc.slots import Slot, SlotGroup
from shared.rpc.usage import UsageCounters

RawHandler = Callable[..., Any]
Answer = TypeVar("Answer")


class Chain:
    """Wraps the handlers of one server."""

    def __init__(
        self,
        resolver: AccessResolver,
        limits: Limits,
        addresses: PeerAddresses,
        *,
        service: str = "",
        cell: int | None = None,
        strict: bool = False,
        usage: UsageCounters | None = None,
    ) -> None:
        """Wraps handlers for the repositories of one cell, or (None) of all.

        `service`: the dits service, for the metrics.
        `usage`: takes the counts of what the calls use.
        `strict`: an error whose reason the RPC does not declare counts as a defect.
        """
        self.service = service
        self.resolver = resolver
        self.addresses = addresses
        self.limits = limits
        self.cell = cell
        self.strict = strict
        self.usage = usage or UsageCounters()
        self.entrance = SlotGroup(limits.max_calls, limits.max_calls)
        self.slots = SlotGroup(limits.max_calls, limits.max_calls_each)
        self.anonymous_slots = SlotGroup(limits.max_calls // 2, limits.max_calls_each)
        self.large_slots = SlotGroup(limits.max_large_calls, limits.max_large_calls_each)
        # Access checks by the other services; health checks and reflection.
        self.quiet_slots = SlotGroup(limits.max_calls, limits.max_calls)
        self.infrastructure_slots = SlotGroup(limits.max_calls, limits.max_calls_each)
        self._export_slots()

    def _export_slots(self) -> None:
        groups = {
            "entrance": self.entrance,
            "accounts": self.slots,
            "anonymous": self.anonymous_slots,
            "large": self.large_slots,
            "access checks": self.quiet_slots,
            "infrastructure": self.infrastructure_slots,
        }
        for name, group in groups.items():
            group.export(self.service, name)

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
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for method in service.methods:
            path = f"/{name}/{method.name}"
            handler = getattr(servicer, method.name)
            rpc = _Rpc(self, method, path, handler, policy or Policy.of(method))
            methods[method.name] = (
                grpc.stream_stream_rpc_method_handler(cast(Any, rpc.serve_stream))
                if method.server_streaming
                else grpc.stream_unary_rpc_method_handler(cast(Any, rpc.serve_unary))
            )
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
        self.meter = RpcMeter(chain.service, path)
        self.takes_many = method.client_streaming
        self.request_type = find_request_type(handler, method)

    async def serve_unary(self, _requests: object, context: Context) -> bytes:
        """Answers a call with one response."""
        try:
            return await self._guard(context, self._serve_unary)
        except grpc.aio.AbortError as error:
            boundary.forget_traceback(error)
            del _requests, context
            raise

    async def serve_stream(self, _requests: object, context: Context) -> None:
        """Answers a call with many responses."""
        try:
            await self._guard(context, self._serve_stream)
        except grpc.aio.AbortError as error:
            boundary.forget_traceback(error)
            del _requests, context
            raise

    async def _serve_unary(self, call: Call, context: Context) -> bytes:
        exchange, first = await self._begin(call, context)
        if self.takes_many:
            async with self.admission.watched(call, first):
                return self._encode(await self.handler(exchange.messages(first), call), call)
        try:
            return self._encode(await self.handler(first, call), call)
        except DomainError as error:
            if not await self.admission.find_successor(call, first, error):
                raise
        return self._encode(await self.handler(first, call), call)

    def _encode(self, response: Message, call: Call) -> bytes:
        data = response.SerializeToString()
        self.meter.count_sent(len(data))
        call.used.sent += len(data)
        return data

    async def _serve_stream(self, call: Call, context: Context) -> None:
        exchange, first = await self._begin(call, context)
        request = exchange.messages(first) if self.takes_many else first
        async with (
            self.admission.watched(call, first),
            aclosing(self.handler(request, call)) as responses,
        ):
            async for response in responses:
                await exchange.write(response)

    async def _begin(self, call: Call, context: Context) -> tuple[Exchange, Message]:
        """Judges the credential, reads the first message and holds the call against its policy."""
        await self.admission.identify(call)
        large = self.policy.large_messages
        if call.caller_id is not None:
            call.slot.move(self.chain.large_slots if large else self.chain.slots, call.caller_id)
        limits = self.chain.limits
        size = limits.max_stream_message_bytes if large else limits.max_message_bytes
        exchange = Exchange(
            context, self.request_type, size, limits.idle_seconds, self.meter, call.used
        )
        first = require_first(await exchange.read_first(limits.first_message_seconds, call.slot))
        await self.admission.admit(call, first)
        await self.admission.require_sudo(call, first)
        if not self.policy.quiet:
            self.chain.usage.begin(call)
        return exchange, first

    def _take_slot(self, call: Call) -> Slot:
        chain = self.chain
        if self.policy is INFRASTRUCTURE:
            return chain.infrastructure_slots.take(call.peer_ip)
        if self.policy.quiet:
            return chain.quiet_slots.take(call.peer_ip)
        group = chain.anonymous_slots if call.token is None else chain.entrance
        return group.take(call.peer_ip)

    def _translate(self, error: Exception) -> DomainError:
        failure = boundary.translate(error)
        if self.chain.strict and failure.reason not in self.policy.reasons:
            undeclared = Reason.Name(failure.reason)
            return boundary.translate(AssertionError(f"{self.path} does not declare {undeclared}"))
        return failure

    async def _guard(
        self, context: Context, serve: Callable[[Call, Context], Awaitable[Answer]]
    ) -> Answer:
        """Serves a call, with its request id, log entry, error boundary and slot."""
        call = boundary.new_call(self.path, context, self.chain.addresses)
        call.mutates = self.policy.mutates
        trailer = (("x-request-id", call.request_id),)
        context.set_trailing_metadata(trailer)
        structlog.contextvars.bind_contextvars(request_id=call.request_id)
        failure: DomainError | None = None
        outcome = "CANCELLED"
        try:
            try:
                call.slot = self._take_slot(call)
                answer = await serve(call, context)
            except Exception as error:  # noqa: BLE001  the boundary: nothing may pass it
                failure = self._translate(error)
            else:
                outcome = "OK"
                return answer
            outcome = failure.code.name
            await boundary.abort(context, failure, trailer)
        finally:
            call.slot.free()
            seconds = time.monotonic() - call.begun
            self.meter.record(outcome, failure, seconds)
            done = outcome == "OK"
            self.chain.usage.end(call, self.policy.counts_as if done else COUNTING_UNSPECIFIED)
            boundary.log_call(call, self.policy, outcome, failure, seconds)
            # Its traceback holds this frame, which would hold it: garbage with all of the request.
            failure = None
