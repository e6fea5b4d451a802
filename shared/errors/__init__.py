"""The error catalog: what handlers raise and how it looks on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from dits.common.v1.error_reason_pb2 import ErrorReason
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

DOMAIN = "dits"
MAX_LISTED_HASHES = 50
MAX_VIOLATIONS = 20
# Clients refuse a call's last metadata beyond 8 KiB, at random at first. In base64, and the message once
# more with three characters for each byte that is not ASCII, these come to less.
MAX_STATUS_BYTES = 4_500
MAX_MESSAGE_BYTES = 512

Reason = ErrorReason

# The status code of every reason; a test holds it against the enum.
CODES: Mapping[ErrorReason.ValueType, StatusCode] = {
    Reason.ERROR_REASON_INVALID_FIELD: StatusCode.INVALID_ARGUMENT,
    Reason.ERROR_REASON_UNDECODABLE_MESSAGE: StatusCode.INVALID_ARGUMENT,
    Reason.ERROR_REASON_INVALID_PAGE_TOKEN: StatusCode.INVALID_ARGUMENT,
    Reason.ERROR_REASON_REQUEST_ID_REUSED: StatusCode.INVALID_ARGUMENT,
    Reason.ERROR_REASON_CONTENT_MISMATCH: StatusCode.INVALID_ARGUMENT,
    Reason.ERROR_REASON_STREAM_ORDER: StatusCode.INVALID_ARGUMENT,
    Reason.ERROR_REASON_UNAUTHENTICATED: StatusCode.UNAUTHENTICATED,
    Reason.ERROR_REASON_PERMISSION_MISSING: StatusCode.PERMISSION_DENIED,
    Reason.ERROR_REASON_SCOPE_MISSING: StatusCode.PERMISSION_DENIED,
    Reason.ERROR_REASON_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.ERROR_REASON_NAME_TAKEN: StatusCode.ALREADY_EXISTS,
    Reason.ERROR_REASON_HEAD_MOVED: StatusCode.ABORTED,
    Reason.ERROR_REASON_UPLOAD_EXPIRED: StatusCode.ABORTED,
    Reason.ERROR_REASON_CONTENTION: StatusCode.ABORTED,
    Reason.ERROR_REASON_REPOSITORY_READ_ONLY: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_BRANCH_PROTECTED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_NOT_FAST_FORWARD: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_CHUNKS_MISSING: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_HISTORY_MISSING: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_LOCK_HELD: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_LOCK_REQUIRED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_LOCK_STALE: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_FILE_REFUSED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_DEFAULT_BRANCH: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_BASE_OUTDATED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_BATCH_TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_RATE_LIMITED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_SERVER_BUSY: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_STORAGE_FULL: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_RANGE_BEYOND_END: StatusCode.OUT_OF_RANGE,
    Reason.ERROR_REASON_CURSOR_TOO_OLD: StatusCode.OUT_OF_RANGE,
    Reason.ERROR_REASON_CHUNK_CORRUPT: StatusCode.DATA_LOSS,
    Reason.ERROR_REASON_DEPENDENCY_UNAVAILABLE: StatusCode.UNAVAILABLE,
    Reason.ERROR_REASON_INTERNAL: StatusCode.INTERNAL,
}


class DomainError(Exception):
    """A failure that the caller is told about. Only the error boundary turns it into a status."""

    def __init__(
        self,
        reason: ErrorReason.ValueType,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        detail: Message | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = _cut(message, MAX_MESSAGE_BYTES)
        self.metadata = dict(metadata or {})
        self.detail = detail

    @property
    def code(self) -> StatusCode:
        """The gRPC status code of the reason."""
        return CODES[self.reason]

    def status(self) -> status_pb2.Status:
        """The `google.rpc.Status` for the `grpc-status-details-bin` trailer, at most MAX_STATUS_BYTES."""
        info = self._info(self.metadata)
        status = self._pack(info, self.detail)
        if isinstance(self.detail, error_details_pb2.PreconditionFailure):
            shortened = error_details_pb2.PreconditionFailure()
            shortened.CopyFrom(self.detail)
            while shortened.violations and status.ByteSize() > MAX_STATUS_BYTES:
                del shortened.violations[-1]
                status = self._pack(info, shortened)
        if status.ByteSize() > MAX_STATUS_BYTES:
            share = MAX_STATUS_BYTES // 2 // max(len(self.metadata), 1)
            cut = {key: _cut(value, share) for key, value in self.metadata.items()}
            status = self._pack(self._info(cut), None)
        return status

    def _info(self, metadata: Mapping[str, str]) -> error_details_pb2.ErrorInfo:
        reason = ErrorReason.Name(self.reason)
        return error_details_pb2.ErrorInfo(domain=DOMAIN, reason=reason, metadata=metadata)

    def _pack(self, *details: Message | None) -> status_pb2.Status:
        packed = []
        for detail in details:
            if detail is not None:
                box = any_pb2.Any()
                box.Pack(detail)
                packed.append(box)
        return status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)


def _cut(text: str, most: int) -> str:
    """The text, or its beginning if it has more bytes."""
    encoded = text.encode()
    return text if len(encoded) <= most else encoded[: most - 3].decode(errors="ignore") + "…"


def invalid(field: str, description: str) -> DomainError:
    """INVALID_FIELD for one field of the request."""
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
    return DomainError(
        Reason.ERROR_REASON_INVALID_FIELD,
        f"{field}: {description}",
        detail=error_details_pb2.BadRequest(field_violations=[violation]),
    )


def not_found(kind: str, name: str) -> DomainError:
    """NOT_FOUND, the same for what is absent and what the caller may not see."""
    return DomainError(
        Reason.ERROR_REASON_NOT_FOUND,
        f"{kind} {name!r} not found",
        detail=error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name),
    )


def name_taken(kind: str, name: str) -> DomainError:
    """ALREADY_EXISTS for a name."""
    return DomainError(
        Reason.ERROR_REASON_NAME_TAKEN,
        f"{kind} {name!r} is taken",
        detail=error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name),
    )


def unauthenticated(
    message: str = "a valid credential is needed: send `authorization: Bearer <token>`",
) -> DomainError:
    """One answer for no credential and for every bad one."""
    return DomainError(Reason.ERROR_REASON_UNAUTHENTICATED, message)


def permission_missing(required: str, held: str = "none") -> DomainError:
    """The caller sees the resource but may not do this to it."""
    return DomainError(
        Reason.ERROR_REASON_PERMISSION_MISSING,
        f"this needs the permission {required}; you have {held}",
        metadata={"required": required, "held": held},
    )


def scope_missing(required: str) -> DomainError:
    """The API token was not given the scope."""
    return DomainError(
        Reason.ERROR_REASON_SCOPE_MISSING,
        f"this API token lacks the scope {required}",
        metadata={"required": required},
    )


def batch_too_large(field: str, limit: int, count: int) -> DomainError:
    """More items than one call may carry."""
    violation = error_details_pb2.QuotaFailure.Violation(
        subject=field, description=f"at most {limit} in one call, got {count}"
    )
    return DomainError(
        Reason.ERROR_REASON_BATCH_TOO_LARGE,
        f"{field}: at most {limit} in one call, got {count}",
        metadata={"field": field, "limit": str(limit), "count": str(count)},
        detail=error_details_pb2.QuotaFailure(violations=[violation]),
    )


def retry_later(
    reason: ErrorReason.ValueType, message: str, seconds: float, **metadata: str
) -> DomainError:
    """An error that passes: RetryInfo says when to try again."""
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(int(seconds * 1000))
    return DomainError(
        reason,
        message,
        metadata=metadata,
        detail=error_details_pb2.RetryInfo(retry_delay=delay),
    )


def precondition(
    reason: ErrorReason.ValueType,
    message: str,
    metadata: Mapping[str, str],
    violations: Sequence[tuple[str, str]] = (),
) -> DomainError:
    """State forbids it; `violations` are (subject, description) pairs; 20 at most are sent."""
    kind = ErrorReason.Name(reason)
    listed = [
        error_details_pb2.PreconditionFailure.Violation(
            type=kind, subject=subject, description=_cut(text, MAX_MESSAGE_BYTES // 2)
        )
        for subject, text in violations[:MAX_VIOLATIONS]
    ]
    detail = error_details_pb2.PreconditionFailure(violations=listed) if listed else None
    return DomainError(reason, message, metadata=metadata, detail=detail)


def hashes_missing(reason: ErrorReason.ValueType, kind: str, hashes: Sequence[str]) -> DomainError:
    """Names that lead nowhere: chunks, manifests or commits that the server does not have."""
    listed = ",".join(hashes[:MAX_LISTED_HASHES])
    return DomainError(
        reason,
        f"{len(hashes)} {kind}(s) that the push needs are not in the repository",
        metadata={"kind": kind, "count": str(len(hashes)), "hashes": listed},
    )


def time_text(at: datetime) -> str:
    """A time of the database for the metadata of an error: RFC 3339, in UTC."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
