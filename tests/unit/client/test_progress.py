"""What is shown while a command works: bars and notices on a terminal alone."""

import io
import logging
import sys

import pytest

from dits_client.progress import (
    MIN_SHOWN_BYTES,
    Bars,
    Notices,
    Warnings,
    make_progress,
    show_notices,
)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(*, quiet: bool = False) -> str:
    """What is written of a part of the work, to stderr as it is now."""
    with make_progress(quiet) as shown:
        stage = shown.start_stage("Sending", MIN_SHOWN_BYTES)
        stage.advance(MIN_SHOWN_BYTES)
        shown.warn("beware")
    assert isinstance(sys.stderr, io.StringIO)
    return sys.stderr.getvalue()


def test_without_a_terminal_there_are_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(make_progress(quiet=False)) is Warnings
    assert show() == "dits: beware\n"


def test_a_terminal_shows_bars_unless_quiet_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stderr", _Terminal())
    assert show(quiet=True) == "dits: beware\n"
    assert type(make_progress(quiet=False)) is Bars
    told = show()
    assert "Sending" in told
    assert "\x1b[3" in told
    monkeypatch.setattr("sys.stderr", _Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    told = show()
    assert "Sending" in told
    assert "\x1b[3" not in told


@pytest.mark.parametrize("is_terminal", [True, False])
def test_notices_are_for_terminals(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    logger = logging.getLogger("dits_client")
    for name in ("handlers", "level", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))
    monkeypatch.setattr("sys.stderr", _Terminal() if is_terminal else io.StringIO())
    before = list(logger.handlers)
    show_notices()
    added = [each for each in logger.handlers if each not in before]
    assert [type(each) for each in added] == [Notices] * is_terminal
