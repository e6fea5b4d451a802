"""Errors of the service: its limits, its store, its dependencies, its defects."""

from __future__ import annotations

from dits.common.v1.error_reason_pb2 import ErrorReason
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2 as details

from shared.errors.catalog import DomainError, Reason


def upload_expired() -> DomainError:
    """The server gave up the unfinished pack of an upload."""
    return DomainError(
        Reason.ERROR_REASON_UPLOAD_EXPIRED,
        "the server gave up the pack: send again what was not acknowledged",
    )


def contention(message: str = "too many changes of the same rows at once") -> DomainError:
    """The same rows changed too often; nothing was done."""
    return _passing(Reason.ERROR_REASON_CONTENTION, message, 0.5)


def rate_limited(seconds: float) -> DomainError:
    """Too many attempts; the caller may come back in `seconds`."""
    return _passing(Reason.ERROR_REASON_RATE_LIMITED, "too many attempts; try again later", seconds)


def server_busy(message: str, seconds: float, limit: int) -> DomainError:
    """The server is at its limit of concurrent work of this kind; try again in `seconds`."""
    return _passing(Reason.ERROR_REASON_SERVER_BUSY, message, seconds, limit=str(limit))


def limit_reached(kind: str, limit: int) -> DomainError:
    """There are as many of a kind as there may be."""
    text = f"there are {limit} {kind} already"
    violation = details.QuotaFailure.Violation(subject=kind, description=text)
    return DomainError(
        Reason.ERROR_REASON_LIMIT_REACHED,
        text,
        metadata={"kind": kind, "limit": str(limit)},
        detail=details.QuotaFailure(violations=[violation]),
    )


def stream_idle(seconds: float) -> DomainError:
    """The caller sent or took nothing for `seconds`."""
    return DomainError(
        Reason.ERROR_REASON_STREAM_IDLE,
        f"nothing was sent or taken for {seconds:g} seconds",
        metadata={"seconds": f"{seconds:g}"},
    )


def storage_full() -> DomainError:
    """The object store or the database has no room left."""
    return _passing(Reason.ERROR_REASON_STORAGE_FULL, "the server's storage is full", 60.0)


def chunk_corrupt(digest: str, message: str = "the stored bytes are damaged") -> DomainError:
    """The stored bytes do not hash to their name (hex) and no good copy is left."""
    return DomainError(Reason.ERROR_REASON_CHUNK_CORRUPT, message, metadata={"hash": digest})


def chunk_archived(digest: str) -> DomainError:
    """The chunk (hex) lies in an archive class, and the repository has not restored it."""
    return DomainError(
        Reason.ERROR_REASON_CHUNK_ARCHIVED,
        "the chunk is archived: restore it first, with `dits tier restore`",
        metadata={"hash": digest},
    )


def no_direct_transfer(region: str) -> DomainError:
    """Clients cannot put objects into the store of a region, nor get them."""
    return DomainError(
        Reason.ERROR_REASON_NO_DIRECT_TRANSFER,
        f"the store of {region} takes requests of the server alone: use UploadChunks and DownloadChunks",
        metadata={"region": region},
    )


def collection_implausible(dead: int, total: int, limit: float) -> DomainError:
    """A collection would delete more of all chunks than `limit` percent."""
    return DomainError(
        Reason.ERROR_REASON_COLLECTION_IMPLAUSIBLE,
        f"it would delete {dead} of {total} chunks, more than {limit:g} percent",
        metadata={"dead": str(dead), "total": str(total), "limit": f"{limit:g}"},
    )


def manifest_corrupt(digest: str) -> DomainError:
    """The stored form of a directory does not lead to bytes that hash to its name (hex)."""
    return DomainError(
        Reason.ERROR_REASON_MANIFEST_CORRUPT,
        f"the stored directory {digest} is damaged",
        metadata={"hash": digest},
    )


def dependency_unavailable(dependency: str, message: str = "") -> DomainError:
    """The database, the object store or another service does not answer, or this one stops."""
    return _passing(
        Reason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
        message or f"{dependency} does not answer",
        1.0,
        dependency=dependency,
    )


def store_refuses(bucket: str, code: str) -> DomainError:
    """The object store refuses the keys of the server, or a right that it needs; `code` says which."""
    return DomainError(
        Reason.ERROR_REASON_STORE_REFUSES,
        f"the store of {bucket} refuses requests of the server: {code}",
        metadata={"dependency": "object store", "code": code},
    )


def internal() -> DomainError:
    """The server has a defect; the log has more under the request id."""
    return DomainError(
        Reason.ERROR_REASON_INTERNAL, "a defect of the server; the request id finds it in the log"
    )


def _passing(
    reason: ErrorReason.ValueType, message: str, seconds: float, **metadata: str
) -> DomainError:
    """An error that passes: RetryInfo says when to try again."""
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(int(seconds * 1000))
    return DomainError(
        reason, message, metadata=metadata, detail=details.RetryInfo(retry_delay=delay)
    )


def quota_exceeded(scope: str, limit: int, held: int) -> DomainError:
    """A repository, or all of its owner, would hold more than it may; in bytes."""
    text = f"the {scope} may hold {limit} bytes, and holds {held}"
    violation = details.QuotaFailure.Violation(subject=scope, description=text)
    return DomainError(
        Reason.ERROR_REASON_QUOTA_EXCEEDED,
        f"{text}: delete something, or ask for more",
        metadata={"scope": scope, "limit": str(limit), "held": str(held)},
        detail=details.QuotaFailure(violations=[violation]),
    )
