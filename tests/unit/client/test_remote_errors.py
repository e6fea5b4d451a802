"""What the client makes of a failed call: reason, metadata, details, sentence, and when to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from dits.common.v1.error_reason_pb2 import (
    ERROR_REASON_BASE_OUTDATED,
    ERROR_REASON_CONTENTION,
    ERROR_REASON_LOCK_HELD,
    ERROR_REASON_NOT_FOUND,
    ERROR_REASON_SERVER_BUSY,
    ERROR_REASON_UNSPECIFIED,
    ErrorReason,
)
from dits.lock.v1.lock_service_pb2 import Lock
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    DebugInfo,
    ErrorInfo,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from dits_client.errors import ErrorDetails, RemoteError, Resource, Violation
from dits_client.server.endpoints import Endpoints
from dits_client.server.remote_errors import lock_held, parse_reason, translate_error

DETAILS_KEY = "grpc-status-details-bin"
ENDPOINTS = Endpoints.parse("localhost")


class FailedCall(grpc.RpcError):
    """As grpc raises it: the error is the call."""

    def __init__(self, code: grpc.StatusCode, text: str, trailer: bytes | None) -> None:
        self._code = code
        self._text = text
        self._trailer = trailer

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._text

    def trailing_metadata(self) -> Any:
        other = ("x-request-id", "7")
        return (other,) if self._trailer is None else (other, (DETAILS_KEY, self._trailer))


def pack(detail: Message) -> any_pb2.Any:
    box = any_pb2.Any()
    box.Pack(detail)
    return box


def failed(
    reason: str,
    *details: Message,
    code: str = "FAILED_PRECONDITION",
    text: str = "no",
    metadata: Mapping[str, str] | None = None,
) -> RemoteError:
    """The error of a call that a dits service refused for a reason."""
    info = ErrorInfo(domain="dits", reason=reason, metadata=metadata)
    return refused(info, *details, code=code, text=text)


def refused(*details: Message, code: str = "FAILED_PRECONDITION", text: str = "no") -> RemoteError:
    status = Status(message=text, details=map(pack, details))
    call = FailedCall(grpc.StatusCode[code], text, status.SerializeToString())
    return translate_error(call, ENDPOINTS)


@pytest.mark.parametrize("name", ErrorReason.keys())
def test_every_reason_is_known(name: str) -> None:
    assert parse_reason(name) == ErrorReason.Value(name)
    assert failed(name).reason == ErrorReason.Value(name)


def test_a_reason_of_a_newer_server_is_told_in_its_words() -> None:
    error = failed(
        "ERROR_REASON_QUOTA_SPENT",
        text="the month's 5 GB are spent\nsee billing",
        metadata={"left": "0"},
    )
    assert error.reason == ERROR_REASON_UNSPECIFIED
    assert error.code == "FAILED_PRECONDITION"
    assert error.metadata == {"left": "0"}
    assert str(error) == "the month's 5 GB are spent"
    assert error.retry_after is None


def test_a_read_only_repository_may_be_archived_or_disabled() -> None:
    text = str(failed("ERROR_REASON_REPOSITORY_READ_ONLY"))
    assert "is archived" in text
    assert "has disabled it" in text


def test_a_reason_of_a_newer_server_is_repeated_if_the_server_says_when() -> None:
    busy = RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000))
    assert failed("ERROR_REASON_NEW", busy, code="UNAVAILABLE").retry_after == 2.5
    # It was a dits service that answered: the connection is not at fault.
    error = failed("ERROR_REASON_NEW", code="UNAVAILABLE", text="moved")
    assert (error.retry_after, str(error)) == (None, "moved")


def test_details_are_typed() -> None:
    error = failed(
        "ERROR_REASON_INVALID_FIELD",
        BadRequest(
            field_violations=[BadRequest.FieldViolation(field="name", description="is long")]
        ),
        ResourceInfo(resource_type="revision", resource_name="side"),
        RetryInfo(retry_delay=Duration(nanos=250_000_000)),
    )
    assert error.details == ErrorDetails(
        retry_delay=0.25,
        fields=(Violation("name", "is long"),),
        resource=Resource("revision", "side"),
    )


@pytest.mark.parametrize("trailer", [None, b"", b"\xff\xff rubbish"])
def test_without_details_there_is_no_reason(trailer: bytes | None) -> None:
    error = translate_error(FailedCall(grpc.StatusCode.INTERNAL, "broken", trailer), ENDPOINTS)
    assert (error.reason, error.metadata, error.details) == (None, {}, ErrorDetails())
    assert (error.code, str(error), error.retry_after) == ("INTERNAL", "broken", None)


@pytest.mark.parametrize(
    ("code", "text", "is_passing"),
    [
        ("INTERNAL", "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))", True),
        ("UNKNOWN", "Stream removed (Data frame with END_STREAM flag received)", True),
        ("UNKNOWN", "Received http2 header with status: 413", False),
        ("UNKNOWN", "Exception iterating requests!", False),
        ("RESOURCE_EXHAUSTED", "Received RST_STREAM with error code 11", False),
    ],
)
def test_an_answer_that_a_proxy_cut_off_is_asked_for_again(
    code: str, text: str, is_passing: bool
) -> None:
    error = refused(code=code, text=text)
    assert (error.retry_after is not None) == is_passing
    assert ("was cut off" in str(error)) == is_passing


def test_a_reason_may_come_without_details() -> None:
    error = failed("ERROR_REASON_NOT_FOUND", code="NOT_FOUND", text="repository 'x' not found")
    assert (error.reason, error.details) == (ERROR_REASON_NOT_FOUND, ErrorDetails())
    # The sentence does not matter to programs: they see that nothing says what was not found.
    assert error.details.resource is None


def test_details_of_unknown_types_are_passed_over() -> None:
    odd = any_pb2.Any(type_url="type.googleapis.com/dits.common.v2.Hint", value=b"\x0a\x01x")
    status = Status(
        message="busy",
        details=[
            pack(ErrorInfo(domain="dits", reason="ERROR_REASON_SERVER_BUSY")),
            odd,
            pack(DebugInfo(detail="not for clients")),
            pack(RetryInfo(retry_delay=Duration(seconds=3))),
        ],
    )
    call = FailedCall(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", status.SerializeToString())
    error = translate_error(call, ENDPOINTS)
    assert error.reason == ERROR_REASON_SERVER_BUSY
    assert error.details == ErrorDetails(retry_delay=3.0)
    assert error.retry_after == 3.0


def test_a_damaged_detail_counts_as_absent() -> None:
    bad = any_pb2.Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff")
    info = pack(ErrorInfo(domain="dits", reason="ERROR_REASON_CONTENTION"))
    trailer = Status(details=[info, bad]).SerializeToString()
    error = translate_error(FailedCall(grpc.StatusCode.ABORTED, "again", trailer), ENDPOINTS)
    assert (error.reason, error.details) == (ERROR_REASON_CONTENTION, ErrorDetails())
    # Known to pass: the client has a pause of its own.
    assert error.retry_after == 0.05


def test_the_reason_of_another_program_is_none_of_ours() -> None:
    info = ErrorInfo(
        domain="proxy.example", reason="ERROR_REASON_LOCK_HELD", metadata={"path": "a"}
    )
    error = refused(info, code="UNAVAILABLE", text="draining")
    assert (error.reason, error.metadata) == (None, {})
    assert str(error) == f"the server {ENDPOINTS.name} cannot be reached (draining)"
    assert error.retry_after == 0.1


def test_sentences_are_made_of_metadata_not_of_the_servers_words() -> None:
    held = failed(
        "ERROR_REASON_LOCK_HELD",
        text="whatever",
        metadata={
            "path": "a/b",
            "lock_path": "a/",
            "holder": "bob",
            "since": "2026-01-02T03:04:05Z",
            "expires": "2026-01-03T03:04:05Z",
            "reason": "grading",
            "count": "3",
        },
    )
    assert held.reason == ERROR_REASON_LOCK_HELD
    assert str(held) == (
        '"a/b" is locked by bob, who holds "a/", since 2026-01-02 03:04 UTC until 2026-01-03 03:04 UTC'
        " (grading); in the way, too: 2 more locks"
    )
    newer = {"path": "a", "branch": "main", "newer": "ab" * 32, "count": "many"}
    outdated = failed("ERROR_REASON_BASE_OUTDATED", metadata=newer)
    assert outdated.reason == ERROR_REASON_BASE_OUTDATED
    assert str(outdated) == (
        '"a" has a newer version on main, by abababababab: run `dits pull` first'
    )
    # A server that leaves the keys out is still understood.
    assert str(failed("ERROR_REASON_LOCK_HELD", text="it is locked")) == "it is locked"


def test_a_lock_found_early_is_the_error_that_the_server_would_send() -> None:
    lock = Lock(id="7", path="a/", holder="bob", reason="grading")
    lock.lock_time.FromJsonString("2026-01-02T03:04:05Z")
    lock.expire_time.FromJsonString("2026-01-03T03:04:05Z")
    error = lock_held("a/b", lock)
    sent = failed("ERROR_REASON_LOCK_HELD", text="whatever", metadata=error.metadata)
    assert (error.reason, error.code, str(error)) == (sent.reason, sent.code, str(sent))
