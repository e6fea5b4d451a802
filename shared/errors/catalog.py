"""The error catalog: the status code of each reason, and how an error looks on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dits.common.v1.error_reason_pb2 import ErrorReason
from google.protobuf import any_pb2
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
    Reason.ERROR_REASON_TOKEN_LIMITED: StatusCode.PERMISSION_DENIED,
    Reason.ERROR_REASON_TOKEN_REFUSED: StatusCode.PERMISSION_DENIED,
    Reason.ERROR_REASON_SUDO_REQUIRED: StatusCode.PERMISSION_DENIED,
    Reason.ERROR_REASON_MFA_REQUIRED: StatusCode.PERMISSION_DENIED,
    Reason.ERROR_REASON_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.ERROR_REASON_NAME_TAKEN: StatusCode.ALREADY_EXISTS,
    Reason.ERROR_REASON_HEAD_MOVED: StatusCode.ABORTED,
    Reason.ERROR_REASON_UPLOAD_EXPIRED: StatusCode.ABORTED,
    Reason.ERROR_REASON_CONTENTION: StatusCode.ABORTED,
    Reason.ERROR_REASON_KEY_ROTATED: StatusCode.ABORTED,
    Reason.ERROR_REASON_STREAM_IDLE: StatusCode.ABORTED,
    Reason.ERROR_REASON_REPOSITORY_READ_ONLY: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_BRANCH_PROTECTED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_NOT_FAST_FORWARD: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_CHUNKS_MISSING: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_REGIONS_MISSING: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_LAST_COPY: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_HISTORY_MISSING: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_LOCK_HELD: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_LOCK_REQUIRED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_LOCK_STALE: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_FILE_REFUSED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_CONTENT_OBLITERATED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_DEFAULT_BRANCH: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_TAG_PROTECTED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_BASE_OUTDATED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_CHUNK_ARCHIVED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_NO_DIRECT_TRANSFER: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_WRONG_CELL: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_CELLS_DIFFER: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_ALREADY_REQUEUED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_LAST_OWNER: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_OWNS_REPOSITORIES: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_INVITATION_CLOSED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_MERGE_CONFLICT: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_UNRELATED_HISTORIES: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_MFA_NOT_ENROLLED: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_COLLECTION_IMPLAUSIBLE: StatusCode.FAILED_PRECONDITION,
    Reason.ERROR_REASON_BATCH_TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_RATE_LIMITED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_SERVER_BUSY: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_STORAGE_FULL: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_LIMIT_REACHED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_QUOTA_EXCEEDED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.ERROR_REASON_RANGE_BEYOND_END: StatusCode.OUT_OF_RANGE,
    Reason.ERROR_REASON_CURSOR_TOO_OLD: StatusCode.OUT_OF_RANGE,
    Reason.ERROR_REASON_CHUNK_CORRUPT: StatusCode.DATA_LOSS,
    Reason.ERROR_REASON_MANIFEST_CORRUPT: StatusCode.DATA_LOSS,
    Reason.ERROR_REASON_DEPENDENCY_UNAVAILABLE: StatusCode.UNAVAILABLE,
    Reason.ERROR_REASON_STORE_REFUSES: StatusCode.UNAVAILABLE,
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
        self.message = cut(message, MAX_MESSAGE_BYTES)
        self.metadata = dict(metadata or {})
        self.detail = detail

    @property
    def code(self) -> StatusCode:
        """The gRPC status code of the reason."""
        return CODES[self.reason]

    def denies(self, kind: str) -> bool:
        """Whether it says that a resource of a kind is not there."""
        detail = self.detail
        return (
            self.reason == Reason.ERROR_REASON_NOT_FOUND
            and isinstance(detail, error_details_pb2.ResourceInfo)
            and detail.resource_type == kind
        )

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
            shortened_values = {key: cut(value, share) for key, value in self.metadata.items()}
            status = self._pack(self._info(shortened_values), None)
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


def cut(text: str, most: int) -> str:
    """Returns the text, or its beginning if it has more than `most` bytes."""
    encoded = text.encode()
    return text if len(encoded) <= most else encoded[: most - 3].decode(errors="ignore") + "…"


def violations(
    reason: ErrorReason.ValueType, pairs: Sequence[tuple[str, str]]
) -> error_details_pb2.PreconditionFailure:
    """Returns the first MAX_VIOLATIONS (subject, description) pairs as a detail."""
    kind = ErrorReason.Name(reason)
    listed = [
        error_details_pb2.PreconditionFailure.Violation(
            type=kind, subject=subject, description=cut(text, MAX_MESSAGE_BYTES // 2)
        )
        for subject, text in pairs[:MAX_VIOLATIONS]
    ]
    return error_details_pb2.PreconditionFailure(violations=listed)
