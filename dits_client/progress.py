"""Telling the user how far the work is, on the terminal and only there."""

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

# Shorter work is over before a bar could be read.
MIN_SHOWN_BYTES = 8 << 20


class Stage:
    """A part of the work, counted in bytes; this one says nothing."""

    def grow(self, count: int) -> None:
        """There are more bytes to do."""

    def advance(self, count: int) -> None:
        """Bytes are done."""


class Progress:
    """Says nothing: the default of the library."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def start_stage(self, label: str, total: int = 0) -> Stage:  # noqa: ARG002 - see Bars
        """Begin a part of the work."""
        return Stage()

    def warn(self, text: str) -> None:
        """Tell the user something that does not stop the work."""


class Warnings(Progress):
    """Writes warnings, and nothing else, to stderr."""

    def warn(self, text: str) -> None:
        """Write a line."""
        sys.stderr.write(f"dits: {text}\n")


class Bars(Warnings):
    """Bars on stderr, that appear when there is something to wait for."""

    def __init__(self) -> None:
        self._bars: RichProgress | None = None
        self._lock = threading.Lock()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def start_stage(self, label: str, total: int = 0) -> Stage:
        """Begin a part of the work."""
        return _Bar(self, label, total)

    def get_bars(self) -> "RichProgress":
        """Return the bars of rich, started."""
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
        """Make the bar longer."""
        with self._lock:
            self._total += count
            self._show()

    def advance(self, count: int) -> None:
        """Fill a part of the bar."""
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
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as RichProgress

    bars = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bars.start()
    return bars


def make_progress(quiet: bool) -> Progress:
    """Return bars if a person is watching."""
    return Warnings() if quiet or not sys.stderr.isatty() else Bars()
