"""Text that people read later: what may stand in a name, a message, a log."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import DomainError
from shared.formats.text import (
    escape_controls,
    find_line_fault,
    find_prose_fault,
    is_blank,
    list_looks,
)
from shared.rpc import validation
from shared.runtime import logs
from shared.runtime.config import Settings

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
DISGUISES = list("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
HARMLESS = ["plain", "\u00e4\u00f6", "a\u00a0b", "\u0627\u0644\u200f", "a\u200db", "\U0001f4be", ""]


@pytest.mark.parametrize("character", [*CONTROLS, *DISGUISES, "\ud800"])
def test_a_name_has_one_line_in_the_order_in_which_it_is_read(character: str) -> None:
    assert (
        find_line_fault(f"a{character}b")
        == f"must not contain the character U+{ord(character):04X}"
    )
    for check in (validation.branch, validation.path, validation.require_line):
        with pytest.raises(DomainError):
            check("field", f"a{character}b")
    with pytest.raises(DomainError):
        validation.text("field", f"a{character}b", most=255)


@pytest.mark.parametrize("character", [*CONTROLS, "\ud800"])
def test_a_message_has_lines_and_tabs_and_no_other_controls(character: str) -> None:
    assert bool(find_prose_fault(f"a{character}b")) == (character not in "\n\t")


def test_line_ends_of_windows_are_line_ends() -> None:
    assert not find_prose_fault("one\r\ntwo\r\n")
    assert find_prose_fault("over\rwritten")


@pytest.mark.parametrize("value", HARMLESS)
def test_other_text_is_left_alone(value: str) -> None:
    assert not find_line_fault(value)
    assert not find_prose_fault(value)
    assert escape_controls(value) == value


def test_what_takes_long_to_normalize_is_refused() -> None:
    accents = "a" + "\u0301\u0323" * 700
    for value in (accents, "b/" + accents, "\u0301\u0323" * 1_000_000):
        with pytest.raises(DomainError):
            validation.path("field", value)
    assert validation.path("field", "e\u0301") == "\u00e9"
    assert validation.path("field", "\u1112\u1161\u11ab" * 341) == "\ud55c" * 341
    assert validation.path("field", "a\u0301\u0323 " + "-" * 20)


@given(st.text())
def test_escaped_text_can_be_a_name(value: str) -> None:
    assert not find_line_fault(escape_controls(value))


@pytest.fixture(params=["json", "console"])
def written(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[io.StringIO]:
    """What the logs write, in one of their forms."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", logging.WARNING)
    logs.configure(Settings(log_format=request.param))
    yield stream
    structlog.reset_defaults()


def test_logs_hold_nothing_that_a_terminal_obeys(written: io.StringIO) -> None:
    hostile = "".join([*CONTROLS, *DISGUISES])
    log = structlog.get_logger()
    log.warning(hostile, value=hostile, values=[hostile], key={"a": hostile})
    try:
        fail(hostile)
    except ValueError:
        log.exception("a defect")
    logging.getLogger("library").warning("said %s", hostile)
    lines = written.getvalue()
    assert "said" in lines
    assert lines.count("\n") > 2
    assert not set(lines) & {*CONTROLS, *DISGUISES} - {"\n"}


def test_libraries_write_entries_of_the_same_form(written: io.StringIO) -> None:
    structlog.get_logger().warning("ours")
    try:
        fail("of a library")
    except ValueError:
        logging.getLogger("library").warning("said %s", "this", exc_info=True)
    lines = written.getvalue()
    if not lines.startswith("{"):
        assert "said this" in lines
        assert "ValueError: of a library" in lines
        return
    _ours, line = lines.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["logger"], entry["level"]) == ("said this", "library", "warning")
    assert entry["exception"][0]["exc_value"] == "of a library"


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize(
    "value",
    [
        *(" ", "\u00a0\u3000", "\u200b", "\ufeff", "\U000e0061", "\u00ad", "\u2060"),
        *("\u3164", "\uffa0", "\u115f\u1160", "\u034f", "\u17b4\u17b5", "\u180b\u180f"),
        *("\ufe00\ufe0f", "\U000e0100\U000e01ef", "\u2800", "\U0001d159"),
    ],
)
def test_what_nobody_sees_is_no_name_and_no_reason(value: str) -> None:
    assert is_blank(value)
    with pytest.raises(DomainError):
        validation.prose("field", value, most_bytes=255, required=True)
    assert not is_blank(f"{value}a")
    assert list_looks(f"{value}\u00e9{value}")[-1] == "\u00e9"
    with pytest.raises(DomainError):
        validation.branch("field", value)
    assert validation.text("field", value, most=255) == value
    with pytest.raises(DomainError):
        validation.text("field", value, least=1, most=255)
