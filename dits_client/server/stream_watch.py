"""A stream that makes no progress is cancelled, so that its caller can resume it over a new connection."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from dits_client.errors import RemoteError

# Seconds without progress after which a stream is taken for dead. A server waits twice as long.
IDLE_SECONDS = 60.0
# The pause before it is resumed.
RESUME_SECONDS = 0.1

Response = TypeVar("Response")


class Cancellable(Protocol):
    """A call that can be ended."""

    def cancel(self) -> object:
        """End the call."""


def _always() -> bool:
    return True


class StreamWatch:
    """Watches one stream, in a thread of its own."""

    def __init__(self, is_busy: Callable[[], bool] = _always) -> None:
        """Take a test whether the other side has to do something; if not, its silence does not count."""
        self.is_expired = False
        self._is_busy = is_busy
        self._is_awaited = True
        self._limit = IDLE_SECONDS
        self._last = time.monotonic()
        self._ended = threading.Event()

    def note_progress(self) -> None:
        """Count the seconds from zero again."""
        self._last = time.monotonic()

    def allow(self, seconds: float) -> None:
        """Count from zero again, up to another limit."""
        self._limit = seconds
        self.note_progress()

    @contextmanager
    def guard(self, call: Cancellable) -> Iterator[None]:
        """Cancel the call if there is no progress before the end of the context."""
        self.note_progress()
        threading.Thread(target=self._check, args=(call,), name="watch stream", daemon=True).start()
        try:
            yield
        finally:
            self._ended.set()

    def iterate(self, responses: Iterator[Response]) -> Iterator[Response]:
        """Yield responses; each is progress, and while the caller uses one no time counts."""
        for response in responses:
            self._is_awaited = False
            yield response
            self.note_progress()
            self._is_awaited = True

    def make_error(self, server: str) -> RemoteError:
        """Return the error for a stream that was cancelled; repeating it is of use.

        `server` is the subject of its sentence.
        """
        message = f"{server} was silent for {self._limit:.0f} seconds"
        return RemoteError(message, code="DEADLINE_EXCEEDED", retry_after=RESUME_SECONDS)

    def _check(self, call: Cancellable) -> None:
        while not self._ended.wait(min(self._limit / 4, 5.0)):
            if not (self._is_awaited and self._is_busy()):
                self.note_progress()
            elif time.monotonic() - self._last > self._limit:
                self.is_expired = True
                call.cancel()
                return
