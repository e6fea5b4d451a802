"""Calls to other dits services: as the caller, with a deadline, and with their errors understood."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, TypeVar

import grpc
import structlog
from google.rpc import error_details_pb2, status_pb2

from shared.errors import DomainError, Reason, dependency_unavailable
from shared.rpc.call import Call
from shared.rpc.limits import MAX_STREAM_MESSAGE_BYTES

log = structlog.get_logger(__name__)

# A message may exceed the limit of its RPC by its framing.
_SLACK = 1 << 20
_DETAILS = (
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.QuotaFailure,
    error_details_pb2.ResourceInfo,
    error_details_pb2.RetryInfo,
)
# Defects of ours, not of the caller's request.
_DEFECTS = frozenset({Reason.ERROR_REASON_INTERNAL, Reason.ERROR_REASON_UNDECODABLE_MESSAGE})

Answer = TypeVar("Answer")


def connect(address: str) -> grpc.aio.Channel:
    """Returns a channel to another dits service."""
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.max_receive_message_length", MAX_STREAM_MESSAGE_BYTES + _SLACK),
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ],
    )


class Peers:
    """The services that a service calls: those that its `NEEDS` lists."""

    def __init__(self, addresses: Mapping[str, str], needs: Sequence[str]) -> None:
        self._channels = {name: connect(addresses[name]) for name in needs}

    def channel(self, name: str) -> grpc.aio.Channel:
        """The channel to a service of `NEEDS`."""
        return self._channels[name]

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            await channel.close()


class Peer:
    """One other service, asked with the credential and the request id of the call under way.

    It answers what the caller may know, so no secret of the services' own exists.
    """

    def __init__(self, peers: Peers, name: str) -> None:
        self.name = name
        self.channel = peers.channel(name)

    async def ask(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Any, Answer],
        request: object,
        call: Call,
        seconds: float,
    ) -> Answer:
        """Returns the answer of a unary RPC. Raises the peer's error, or DEPENDENCY_UNAVAILABLE."""
        try:
            return await method(request, metadata=_identity(call), timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise understand(error, self.name) from error

    async def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Any, Answer],
        request: object,
        call: Call,
        seconds: float,
    ) -> AsyncGenerator[Answer, None]:
        """Yields the answers of a streaming RPC. Raises as `ask` does."""
        try:
            async for answer in method(request, metadata=_identity(call), timeout=seconds):
                yield answer
        except grpc.aio.AioRpcError as error:
            raise understand(error, self.name) from error


def understand(error: grpc.aio.AioRpcError, peer: str) -> DomainError:
    """Returns the error that a peer sent, or DEPENDENCY_UNAVAILABLE if it sent none of ours."""
    # Its frames hold the call, and the call the error: garbage in a cycle, with all that was asked.
    error.__traceback__ = None
    found = _sent(error)
    if found is not None and found.reason not in _DEFECTS:
        return found
    log.warning("peer failed", peer=peer, code=error.code().name, cause=error.details())
    return dependency_unavailable(peer)


def _sent(error: grpc.aio.AioRpcError) -> DomainError | None:
    """The error in the status of a dits service; None if the status is not one of theirs."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            status = status_pb2.Status.FromString(value)
            info = error_details_pb2.ErrorInfo()
            if not status.details or not status.details[0].Unpack(info):
                return None
            if info.reason not in Reason.keys():  # noqa: SIM118  an enum, not a mapping
                return None
            detail = next(map(_unpack, status.details[1:]), None)
            reason = Reason.Value(info.reason)
            return DomainError(reason, status.message, metadata=info.metadata, detail=detail)
    return None


def _unpack(box: Any) -> Any:
    """The typed detail in an Any; None if it is of a type that we do not send."""
    for kind in _DETAILS:
        message = kind()
        if box.Unpack(message):
            return message
    return None


def _identity(call: Call) -> tuple[tuple[str, str], ...]:
    """The metadata that makes a call the caller's."""
    request_id = ("x-request-id", call.request_id)
    if call.token is None:
        return (request_id,)
    return (("authorization", f"Bearer {call.token}"), request_id)
