"""The error reasons: enum, catalog, constructors and the comments of the proto agree."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from dits.common.v1.error_reason_pb2 import ErrorReason

from shared import errors
from shared.errors import CODES, DomainError, LockConflict

ROOT = Path(__file__).parents[2]
PROTO = (ROOT / "protos/dits/common/v1/error_reason.proto").read_text()
REASONS = [name for name in ErrorReason.keys() if not name.endswith("UNSPECIFIED")]  # noqa: SIM118
SOURCES = [
    path
    for folder in ("services", "shared")
    for path in (ROOT / folder).rglob("*.py")
    if path.parent != ROOT / "shared/errors"
]
MOMENT = datetime(2026, 11, 26, tzinfo=UTC)
# An argument of each type that a constructor takes.
ARGUMENTS: dict[object, Any] = {
    str: "a",
    int: 1,
    float: 1.0,
    bool: True,
    Sequence[str]: ["a", "b"],
    Sequence[tuple[str, str]]: [("a", "b")],
    Sequence[LockConflict]: [LockConflict("a", "1", "a", "exclusive", "ada", MOMENT, MOMENT, "")],
}


def constructor(reason: str) -> Callable[..., DomainError]:
    """The constructor of a reason; fails if there is none."""
    found: Callable[..., DomainError] = getattr(
        errors, reason.removeprefix("ERROR_REASON_").lower()
    )
    return found


def test_catalog_and_enum_hold_the_same_reasons() -> None:
    assert set(CODES) == set(ErrorReason.values()) - {ErrorReason.ERROR_REASON_UNSPECIFIED}


def test_the_proto_says_each_reasons_code() -> None:
    said = re.findall(r"\n  // ([A-Z_]+)\. .*\n(?:  //.*\n)*  (ERROR_REASON_\w+) =", PROTO)
    assert {name: code for code, name in said} == {
        ErrorReason.Name(reason): code.name for reason, code in CODES.items()
    }


@pytest.mark.parametrize("reason", REASONS)
def test_the_metadata_is_what_the_proto_says(reason: str) -> None:
    match = re.search(rf"\n  // Metadata: (.*)\.\n  {reason} =", PROTO)
    assert match is not None, "the last line of the comment lists the metadata"
    said = {key.strip() for key in match[1].split(",")} - {"none"}
    required = {key for key in said if not key.endswith("?")}
    build = constructor(reason)
    hints = get_type_hints(build)
    arguments = {name: ARGUMENTS[hints[name]] for name in inspect.signature(build).parameters}
    error = build(**arguments)
    assert ErrorReason.Name(error.reason) == reason
    assert required <= set(error.metadata)
    assert set(error.metadata) == {key.removesuffix("?") for key in said}


def test_types_of_resources_are_words_in_lower_case() -> None:
    calls = r"\b(?:not_found|name_taken)\(\s*f?\"([^\"]*)\""
    types = {word for path in SOURCES for word in re.findall(calls, path.read_text())}
    assert "repository" in types
    assert not [word for word in types if not re.fullmatch(r"[a-z_]+", word)]


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_is_raised_somewhere(reason: str) -> None:
    name = constructor(reason).__name__
    assert any(re.search(rf"\b{name}\(", path.read_text()) for path in SOURCES)
