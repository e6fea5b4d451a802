"""A RemoteError from a failed call: its reason, its metadata, its details, when to repeat it."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, cast

import grpc
from dits.common.v1.error_reason_pb2 import (
    ERROR_REASON_CONTENTION,
    ERROR_REASON_DEPENDENCY_UNAVAILABLE,
    ERROR_REASON_LOCK_HELD,
    ERROR_REASON_SERVER_BUSY,
    ERROR_REASON_STREAM_IDLE,
    ERROR_REASON_UNSPECIFIED,
    ERROR_REASON_UPLOAD_EXPIRED,
    ErrorReason,
)
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from dits_client.errors import ErrorDetails, RemoteError, Resource, Violation
from dits_client.server.endpoints import Endpoints
from dits_client.server.error_sentences import (
    Failure,
    describe_failure,
    describe_lock_held,
    is_cut_off,
)
from dits_client.server.named_channel import find_service

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2 import Lock

_DETAILS_KEY = "grpc-status-details-bin"
_DOMAIN = "dits"
# Reasons that pass by themselves; seconds to wait if the server names none.
_PASSING = {
    ERROR_REASON_CONTENTION: 0.05,
    ERROR_REASON_UPLOAD_EXPIRED: 0.05,
    ERROR_REASON_SERVER_BUSY: 0.5,
    # This side had nothing to send, or no time to receive; the stream is resumed.
    ERROR_REASON_STREAM_IDLE: 0.1,
    ERROR_REASON_DEPENDENCY_UNAVAILABLE: 0.2,
}
_RECONNECT_SECONDS = 0.1

Detail = TypeVar("Detail", bound=Message)


def translate_error(error: grpc.RpcError, endpoints: Endpoints) -> RemoteError:
    """Return the RemoteError for a call that failed."""
    # An error that a call raises is the call itself; the types do not say so.
    call = cast("grpc.Call", error)
    code, status = call.code().name, _status(call)
    info = _unpack(status.details, ErrorInfo)
    # A proxy on the way may answer with reasons of its own.
    reason = parse_reason(info.reason) if info.domain == _DOMAIN else None
    metadata = dict(info.metadata) if info.domain == _DOMAIN else {}
    details = _details(status.details)
    text = status.message or call.details() or ""
    missing = details.resource or Resource("", "")
    failure = Failure(code, reason, metadata, text, missing, find_service(call))
    return RemoteError(
        describe_failure(failure, endpoints),
        code=code,
        reason=reason,
        metadata=metadata,
        details=details,
        retry_after=_retry_after(failure, details.retry_delay),
    )


def parse_reason(name: str) -> ErrorReason.ValueType:
    """Return the reason of this name; ERROR_REASON_UNSPECIFIED if this client does not know the name."""
    return ErrorReason.Value(name) if name in ErrorReason.keys() else ERROR_REASON_UNSPECIFIED  # noqa: SIM118


def lock_held(path: str, lock: "Lock") -> RemoteError:
    """Return the error with which the server would refuse a push of this path."""
    metadata = {
        "path": path,
        "lock_id": lock.id,
        "lock_path": lock.path,
        "holder": lock.holder,
        "since": lock.lock_time.ToJsonString(),
        "expires": lock.expire_time.ToJsonString(),
        "reason": lock.reason,
        "count": "1",
    }
    return RemoteError(
        describe_lock_held(metadata),
        code="FAILED_PRECONDITION",
        reason=ERROR_REASON_LOCK_HELD,
        metadata=metadata,
    )


def _status(call: grpc.Call) -> Status:
    """Return the google.rpc.Status of a failed call; an empty one if there is none."""
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                break
    return Status()


def _details(boxes: Sequence[Any]) -> ErrorDetails:
    retry, resource = _unpack(boxes, RetryInfo), _unpack(boxes, ResourceInfo)
    return ErrorDetails(
        retry_delay=retry.retry_delay.ToNanoseconds() / 1e9
        if retry.HasField("retry_delay")
        else None,
        fields=tuple(
            Violation(found.field, found.description)
            for found in _unpack(boxes, BadRequest).field_violations
        ),
        resource=Resource(resource.resource_type, resource.resource_name)
        if resource.resource_type
        else None,
    )


def _unpack(boxes: Sequence[Any], kind: type[Detail]) -> Detail:
    """Return the first detail of a type; an empty one if there is none that can be read."""
    detail = kind()
    with suppress(DecodeError):
        for box in boxes:
            if box.Unpack(detail):
                return detail
    return kind()


def _retry_after(failure: Failure, delay: float | None) -> float | None:
    """Return the seconds to wait before the next attempt; None = repeating the call is of no use."""
    if failure.reason in _PASSING:
        return delay if delay is not None else _PASSING[failure.reason]
    # No service answered: there was no connection, or it broke.
    if failure.reason is None and (failure.code == "UNAVAILABLE" or is_cut_off(failure)):
        return _RECONNECT_SECONDS
    return delay
