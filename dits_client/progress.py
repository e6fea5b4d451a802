"""The progress of the work, shown on a terminal."""

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from dits_client.terminal import escape_lines

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

# Seconds in which one notice is enough, also if several calls wait for the same thing.
NOTICE_SECONDS = 30.0
# Bytes; shorter work ends before a user could read a bar.
MIN_SHOWN_BYTES = 8 << 20


class Stage:
    """A part of the work, counted in bytes; this class shows nothing."""

    def grow(self, count: int) -> None:
        """Add bytes that have to be done."""

    def advance(self, count: int) -> None:
        """Count bytes as done."""


class Progress:
    """Shows nothing: the default of the library."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def start_stage(self, label: str, total: int = 0) -> Stage:  # noqa: ARG002 - see Bars
        """Return a new part of the work with so many bytes."""
        return Stage()

    def warn(self, text: str) -> None:
        """Show a warning; the work goes on."""


class Warnings(Progress):
    """Writes warnings to stderr and shows nothing else."""

    def warn(self, text: str) -> None:
        """Write the warning, which may have lines."""
        sys.stderr.write(f"dits: {escape_lines(text)}\n")


class Notices(logging.Handler):
    """Writes what the library logs, that it waits for a server, to stderr: one line for a while."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._last = -NOTICE_SECONDS

    def emit(self, record: logging.LogRecord) -> None:
        """Write a notice, above a bar if there is one."""
        if time.monotonic() - self._last >= NOTICE_SECONDS:
            self._last = time.monotonic()
            Warnings().warn(record.getMessage())


class Bars(Warnings):
    """Shows a bar on stderr for each longer part of the work."""

    def __init__(self) -> None:
        self._bars: RichProgress | None = None
        self._lock = threading.Lock()

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def start_stage(self, label: str, total: int = 0) -> Stage:
        """Return a new part of the work with so many bytes."""
        return _Bar(self, label, total)

    def get_bars(self) -> "RichProgress":
        """Return the display of all bars, which runs from the first call on."""
        with self._lock:
            if self._bars is None:
                self._bars = _start_bars()
            return self._bars


class _Bar(Stage):
    def __init__(self, owner: Bars, label: str, total: int) -> None:
        self._owner = owner
        self._label = label
        self._total = total
        self._done = 0
        self._task: TaskID | None = None
        self._lock = threading.Lock()

    def grow(self, count: int) -> None:
        """Add bytes that have to be done."""
        with self._lock:
            self._total += count
            self._show()

    def advance(self, count: int) -> None:
        """Count bytes as done."""
        with self._lock:
            self._done += count
            self._show()

    def _show(self) -> None:
        if self._total < MIN_SHOWN_BYTES:
            return
        bars = self._owner.get_bars()
        if self._task is None:
            self._task = bars.add_task(self._label)
        bars.update(self._task, total=self._total, completed=self._done)


def _start_bars() -> "RichProgress":
    # Loading rich takes longer than an unchanged push.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as RichProgress

    bars = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    bars.start()
    return bars


def show_notices() -> None:
    """Show notices, if stderr is a terminal."""
    if sys.stderr.isatty():
        logger = logging.getLogger("dits_client")
        logger.handlers, logger.level, logger.propagate = [Notices()], logging.INFO, False


def make_progress(quiet: bool) -> Progress:
    """Return bars if stderr is a terminal and the user did not ask for quiet, else warnings only."""
    return Warnings() if quiet or not sys.stderr.isatty() else Bars()
