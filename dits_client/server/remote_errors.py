"""From a failed call to one clear sentence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from dits_client.errors import RemoteError
from dits_client.server.endpoints import Endpoints

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2 import Lock

_DETAILS = "grpc-status-details-bin"
_PREFIX = "ERROR_REASON_"
# Reasons that pass by themselves, with seconds to wait at least.
_PASSING = {
    "CONTENTION": 0.05,
    "UPLOAD_EXPIRED": 0.05,
    "SERVER_BUSY": 0.5,
    "DEPENDENCY_UNAVAILABLE": 0.2,
}
# What the client knows to say better than the server.
_SENTENCES = {
    "UNAUTHENTICATED": "not logged in, or the login has ended: run `dits login`",
    "HEAD_MOVED": "the branch has moved on the server: run `dits pull` first",
    "NOT_FAST_FORWARD": "the branch has other commits on the server: run `dits pull` first",
    "STORAGE_FULL": "the server's storage is full",
    "REPOSITORY_READ_ONLY": "the repository is archived: it can be read but not changed",
}


def translate(error: grpc.RpcError, endpoints: Endpoints) -> RemoteError:
    """Return what a failed call says: its reason, its metadata, one sentence, when to repeat it."""
    # Every error that a call raises is the call itself; the types do not say so.
    call = cast("grpc.Call", error)
    code, text, status = call.code().name, call.details() or "", _status(call)
    reason, metadata, delay = "", {}, None
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason.removeprefix(_PREFIX), dict(info.metadata)
        elif detail.Unpack(retry):
            delay = retry.retry_delay.ToTimedelta().total_seconds()
    sentence = _sentence(code, reason, metadata, status.message or text, endpoints)
    return RemoteError(
        sentence,
        code=code,
        reason=reason,
        metadata=metadata,
        retry_after=_retry_after(code, reason, delay),
    )


def _status(call: grpc.Call) -> status_pb2.Status:
    """Return the google.rpc.Status that came with the error; an empty one if none did."""
    status = status_pb2.Status()
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
            except DecodeError:
                return status_pb2.Status()
    return status


def _retry_after(code: str, reason: str, delay: float | None) -> float | None:
    if reason in _PASSING:
        return delay if delay is not None else _PASSING[reason]
    # Without a reason it was not the service that answered: a connection broke, or none came about.
    if not reason and code == "UNAVAILABLE":
        return 0.1
    # Known to pass, but after a time that only the user can decide to wait.
    return delay


def _sentence(
    code: str, reason: str, metadata: Mapping[str, str], message: str, endpoints: Endpoints
) -> str:
    if reason in ("LOCK_HELD", "BASE_OUTDATED") and "path" in metadata:
        return _lock_held(metadata) if reason == "LOCK_HELD" else _outdated(metadata)
    if reason in _SENTENCES:
        return _SENTENCES[reason]
    if not reason and code == "UNAVAILABLE":
        return f"the server {endpoints.name} cannot be reached ({_first_line(message)})"
    if not reason and code == "DEADLINE_EXCEEDED":
        return f"the server {endpoints.name} did not answer in time"
    if not reason and code == "UNIMPLEMENTED":
        return f"the server {endpoints.name} does not offer this: {_first_line(message)}"
    return _first_line(message) or f"the server answered {code}"


def lock_held(path: str, lock: "Lock") -> RemoteError:
    """Return the error that a push of this path would end in, in the same words."""
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
        _lock_held(metadata), code="FAILED_PRECONDITION", reason="LOCK_HELD", metadata=metadata
    )


def _lock_held(metadata: Mapping[str, str]) -> str:
    """Say who holds the lock, since when, until when and why."""
    path, holder = metadata["path"], metadata.get("holder") or "someone else"
    text = f'"{path}" is locked by {holder}'
    if (place := metadata.get("lock_path", path)) != path:
        text += f', who holds "{place}",'
    for word, key in (("since", "since"), ("until", "expires")):
        if metadata.get(key):
            text += f" {word} {_minute(metadata[key])}"
    if metadata.get("reason"):
        text += f" ({metadata['reason']})"
    others = int(metadata.get("count") or "1") - 1
    return text + (f", and {others} more locks are in the way" if others > 0 else "")


def _outdated(metadata: Mapping[str, str]) -> str:
    """Say which file has a newer version."""
    others = int(metadata.get("count") or "1") - 1
    more = f" (and {others} more)" if others > 0 else ""
    return (
        f'"{metadata["path"]}"{more} has a newer version on {metadata.get("branch") or "the branch"}, '
        f"by {metadata.get('newer', '')[:12]}: run `dits pull` first"
    )


def _minute(time: str) -> str:
    """Shorten an RFC 3339 time in UTC."""
    return f"{time[:10]} {time[11:16]} UTC" if time.endswith("Z") else time


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:500]
