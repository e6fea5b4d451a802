"""The sentence for people about a failed call."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from dits.common.v1.error_reason_pb2 import (
    ERROR_REASON_BASE_OUTDATED,
    ERROR_REASON_BATCH_TOO_LARGE,
    ERROR_REASON_HEAD_MOVED,
    ERROR_REASON_INVALID_FIELD,
    ERROR_REASON_INVALID_PAGE_TOKEN,
    ERROR_REASON_LOCK_HELD,
    ERROR_REASON_NOT_FAST_FORWARD,
    ERROR_REASON_REPOSITORY_READ_ONLY,
    ERROR_REASON_REQUEST_ID_REUSED,
    ERROR_REASON_STORAGE_FULL,
    ERROR_REASON_SUDO_REQUIRED,
    ERROR_REASON_UNAUTHENTICATED,
    ErrorReason,
)

from dits_client.errors import Resource
from dits_client.server.endpoints import Endpoints
from dits_client.server.field_names import describe_field
from dits_client.server.named_channel import UNKNOWN_SERVICE, CalledService
from dits_client.terminal import format_count, quote_text

# Sentences that tell the user what to do, in place of the server's.
_SENTENCES = {
    ERROR_REASON_SUDO_REQUIRED: (
        "this needs a recent proof of who you are: run `dits sudo`, and then this again within ten minutes"
    ),
    ERROR_REASON_UNAUTHENTICATED: (
        "not logged in to {server}, or the login has ended: run `dits login {server}`"
    ),
    ERROR_REASON_HEAD_MOVED: "the branch has moved on the server: run `dits pull` first",
    ERROR_REASON_NOT_FAST_FORWARD: (
        "the branch has other commits on the server: run `dits pull` first"
    ),
    ERROR_REASON_STORAGE_FULL: "the server's storage is full",
    ERROR_REASON_REPOSITORY_READ_ONLY: (
        "the repository can only be read: it is archived, or the operator has disabled it"
    ),
}

# Reasons whose sentences may begin with the name of a field.
_ABOUT_FIELDS = (
    ERROR_REASON_BATCH_TOO_LARGE,
    ERROR_REASON_INVALID_FIELD,
    ERROR_REASON_INVALID_PAGE_TOKEN,
    ERROR_REASON_REQUEST_ID_REUSED,
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Git takes fewer digits of a commit's hash than a dits server does.
_FEW_DIGITS = re.compile(r"[0-9a-f]{4,7}")
# What gRPC says when something on the way answered that speaks HTTP and no gRPC.
_PROXY_STATUS = re.compile(r"http2 header with status: (\d{3})")
# What gRPC says of an answer that was cut off, as a proxy does when the service behind it ends.
_CUT_OFF = re.compile(r"RST_STREAM|Stream removed")
# Sentences for what gRPC says of TLS that fails, by a part of that.
_TLS_SENTENCES = {
    "CERTIFICATE_VERIFY_FAILED": (
        "nobody whom this machine trusts vouches for the certificate of {server}: "
        "SSL_CERT_FILE=FILE names a file with the authority that made it"
    ),
    "Hostname Verification Check failed": "the certificate of {server} is for another name",
    "WRONG_VERSION_NUMBER": "{server} speaks no TLS: begin its address with http://",
    "http1.x server": "{server} wants TLS, or is no dits server: begin its address with https://",
}
# Folders name theirs by its UUID, which says nothing to people.
_REPOSITORY_GONE = (
    "the repository was not found: it was deleted, or this account may not read it (`dits repo undelete` "
    "brings it back for 30 days, `dits config account` names another account)"
)


class Failure(NamedTuple):
    """What a failed call returned."""

    # Name of the gRPC status code.
    code: str
    # None = no dits service answered.
    reason: ErrorReason.ValueType | None
    metadata: Mapping[str, str]
    # The server's own sentence.
    text: str
    # What was not found; empty = something else happened.
    missing: Resource = Resource("", "")
    service: CalledService = UNKNOWN_SERVICE


def describe_failure(failure: Failure, endpoints: Endpoints) -> str:
    """Return the sentence for a failed call."""
    if failure.reason is None:
        return _describe_no_answer(failure, endpoints)
    if sentence := _describe_missing(failure.missing):
        return sentence
    if "tag" in failure.metadata:
        return _first_line(failure)
    if "path" in failure.metadata:
        if failure.reason == ERROR_REASON_LOCK_HELD:
            return describe_lock_held(failure.metadata)
        if failure.reason == ERROR_REASON_BASE_OUTDATED:
            return _describe_outdated(failure.metadata)
    return _SENTENCES.get(failure.reason, "").format(server=endpoints.name) or _first_line(failure)


def _describe_missing(missing: Resource) -> str:
    """Return the sentence for what was not found; empty = the server's own does."""
    if missing.type == "repository" and _UUID.fullmatch(missing.name):
        return _REPOSITORY_GONE
    if missing.type == "revision" and _FEW_DIGITS.fullmatch(missing.name):
        return f"there is no branch or tag {missing.name}; of a commit's hash, it takes 8 digits"
    return ""


def describe_server(service: CalledService, endpoints: Endpoints) -> str:
    """Return what did not answer, as the subject of a sentence: the server, or one of its services."""
    if service.address in ("", endpoints.auth):
        return f"the server {endpoints.name}"
    return f"the {service.name} service of {endpoints.name}, at {service.address},"


def is_cut_off(failure: Failure) -> bool:
    """Return whether the answer to a call was begun, perhaps, and cut off by a proxy."""
    is_possible = failure.reason is None and failure.code in ("INTERNAL", "UNKNOWN")
    return is_possible and _CUT_OFF.search(failure.text) is not None


def _describe_no_answer(failure: Failure, endpoints: Endpoints) -> str:
    """Return the sentence for a call that no dits service answered."""
    server = describe_server(failure.service, endpoints)
    if found := _PROXY_STATUS.search(failure.text):
        return _describe_proxy(found[1], server)
    if failure.code == "UNAVAILABLE":
        return _describe_no_connection(failure, server)
    if is_cut_off(failure):
        return f"the answer of {server.removesuffix(',')} was cut off ({_first_line(failure)})"
    if failure.code == "DEADLINE_EXCEEDED":
        return f"{server} did not answer in time"
    if failure.code == "UNIMPLEMENTED":
        advice = "it may be older than this dits, which `dits doctor` tells the version of"
        return f"{server} does not offer this ({_first_line(failure)}): {advice}"
    return _first_line(failure)


def _describe_no_connection(failure: Failure, server: str) -> str:
    """Return the sentence for a call that found no server, or one that it cannot trust."""
    for mark, sentence in _TLS_SENTENCES.items():
        if mark in failure.text:
            return sentence.format(server=server).replace(",:", ":")
    return f"{server} cannot be reached ({_first_line(failure)})"


def _describe_proxy(status: str, server: str) -> str:
    """Return the sentence for a call that ended at a proxy, with a status of HTTP."""
    text = f"a proxy in front of {server.removesuffix(',')} answered with HTTP status {status}"
    if status == "413":
        return f"{text}: it limits how much may be sent, and whoever runs it must lift that limit"
    if status == "404":
        return f"{text}: it knows no such service"
    return text


def describe_lock_held(metadata: Mapping[str, str]) -> str:
    """Return who holds the lock, since when, until when and why."""
    path, holder = metadata["path"], metadata.get("holder") or "someone else"
    text = f"{quote_text(path)} is locked by {holder}"
    if (lock_path := metadata.get("lock_path", path)) != path:
        text += f", who holds {quote_text(lock_path)},"
    for word, key in (("since", "since"), ("until", "expires")):
        if metadata.get(key):
            text += f" {word} {_minute(metadata[key])}"
    if metadata.get("reason"):
        text += f" ({metadata['reason']})"
    others = _count_others(metadata)
    return text + (f"; in the way, too: {format_count(others, 'more lock')}" if others else "")


def _describe_outdated(metadata: Mapping[str, str]) -> str:
    """Return which file has a newer version, and in which commit."""
    others = _count_others(metadata)
    more = f" (and {others} more)" if others else ""
    return (
        f"{quote_text(metadata['path'])}{more} has a newer version on "
        f"{metadata.get('branch') or 'the branch'}, "
        f"by {metadata.get('newer', '')[:12]}: run `dits pull` first"
    )


def _count_others(metadata: Mapping[str, str]) -> int:
    """Return the number of items without the one that the metadata describes."""
    count = metadata.get("count", "")
    return max(int(count) - 1, 0) if count.isdecimal() else 0


def _minute(time: str) -> str:
    """Return an RFC 3339 time to the minute."""
    return f"{time[:10]} {time[11:16]} UTC" if time.endswith("Z") else time


def _first_line(failure: Failure) -> str:
    line = failure.text.strip().partition("\n")[0][:500]
    if failure.reason in _ABOUT_FIELDS:
        line = describe_field(line)
    return line or f"the server answered {failure.code}"
