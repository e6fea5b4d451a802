"""Errors of the request itself: its form, its size, its order."""

from __future__ import annotations

from google.rpc import error_details_pb2 as details

from shared.errors.catalog import DomainError, Reason


def invalid_field(field: str, description: str) -> DomainError:
    """One field of the request is malformed or out of range."""
    violation = details.BadRequest.FieldViolation(field=field, description=description)
    return DomainError(
        Reason.ERROR_REASON_INVALID_FIELD,
        f"{field}: {description}",
        detail=details.BadRequest(field_violations=[violation]),
    )


def undecodable_message(message_type: str) -> DomainError:
    """The bytes are not a message of the type."""
    return DomainError(
        Reason.ERROR_REASON_UNDECODABLE_MESSAGE, f"the bytes are not a {message_type}"
    )


def invalid_page_token() -> DomainError:
    """The page token was not issued for this request and caller."""
    return DomainError(
        Reason.ERROR_REASON_INVALID_PAGE_TOKEN,
        "page_token: this server did not issue it for this request",
    )


def request_id_reused() -> DomainError:
    """The request id was used before with another body."""
    return DomainError(
        Reason.ERROR_REASON_REQUEST_ID_REUSED, "request_id: it was used before with another body"
    )


def already_requeued(job_id: str) -> DomainError:
    """The dead letter was requeued before, as another job."""
    return DomainError(
        Reason.ERROR_REASON_ALREADY_REQUEUED,
        f"it was requeued before, as the job {job_id}",
        metadata={"job_id": job_id},
    )


def key_rotated(expected: int, current: int) -> DomainError:
    """The user's key is at another version than the caller believes."""
    return DomainError(
        Reason.ERROR_REASON_KEY_ROTATED,
        f"the key is at version {current}, not {expected}",
        metadata={"expected": str(expected), "current": str(current)},
    )


def content_mismatch(message: str, *, expected: str = "", actual: str = "") -> DomainError:
    """Content does not hash to its name or is not in canonical form; the names are hex."""
    known = {"expected": expected, "actual": actual}
    return DomainError(
        Reason.ERROR_REASON_CONTENT_MISMATCH,
        message,
        metadata={key: name for key, name in known.items() if name},
    )


def stream_order(message: str) -> DomainError:
    """The messages of a stream came in an order that the method does not allow."""
    return DomainError(Reason.ERROR_REASON_STREAM_ORDER, message)


def batch_too_large(field: str, limit: int, count: int) -> DomainError:
    """The call carries more items than one call may."""
    text = f"at most {limit} in one call, got {count}"
    violation = details.QuotaFailure.Violation(subject=field, description=text)
    return DomainError(
        Reason.ERROR_REASON_BATCH_TOO_LARGE,
        f"{field}: {text}",
        metadata={"field": field, "limit": str(limit), "count": str(count)},
        detail=details.QuotaFailure(violations=[violation]),
    )


def range_beyond_end(size: int) -> DomainError:
    """A byte range begins beyond the end of its chunk of `size` bytes."""
    return DomainError(Reason.ERROR_REASON_RANGE_BEYOND_END, f"the chunk has {size} bytes")


def cursor_too_old() -> DomainError:
    """Events that followed the cursor are no longer kept."""
    return DomainError(
        Reason.ERROR_REASON_CURSOR_TOO_OLD,
        "events behind the cursor are no longer kept: read the present state, then watch again",
    )
