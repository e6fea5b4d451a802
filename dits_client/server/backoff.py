"""Pauses between the attempts of a call that may be repeated."""

import logging
import random
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import grpc
from dits.common.v1.error_reason_pb2 import ERROR_REASON_SERVER_BUSY

from dits_client.errors import RemoteError

# Failures in a row after which a call is given up: few where a person waits for the answer, more in a long
# transfer. Then the longest pause between two attempts, in seconds.
ATTEMPTS = 4
STREAM_ATTEMPTS = 8
LONGEST_PAUSE = 10.0
# The same for a server that is busy: it says how long to wait, and the wait is worth it.
BUSY_ATTEMPTS = 10
LONGEST_BUSY_PAUSE = 30.0
# Seconds for which a server that was there is waited for, as for a restart; the longest pause then.
AWAY_SECONDS = 30.0
LONGEST_AWAY_PAUSE = 2.0
# No connection takes so many seconds: an attempt that did was served, and its failure is another absence.
LASTING_SECONDS = 25.0

# Between two looks of a call whether its thread is to end.
LOOK_SECONDS = 0.25

# Of a thread that another one may end: what ends its pauses and calls, too.
_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)

_log = logging.getLogger(__name__)


def end_waits_at(stop: threading.Event) -> None:
    """End every pause and every call of this thread, now and later, when an event is set."""
    _stop.set(stop)


def call_until_ended(method: Any, *arguments: Any, **options: Any) -> Any:
    """Return the response of a unary call; cancel it, and raise RemoteError, if this thread is ended."""
    if (stop := _stop.get()) is None:
        return method(*arguments, **options)
    call = method.future(*arguments, **options)
    while not stop.is_set():
        with suppress(grpc.FutureTimeoutError):
            return call.result(LOOK_SECONDS)
    call.cancel()
    raise RemoteError("the command has ended", code="CANCELLED")


class Backoff:
    """Counts failures in a row and waits longer after each; a long wait is logged as INFO."""

    def __init__(self, attempts: int, patience: float = AWAY_SECONDS) -> None:
        self._attempts = attempts
        # The most seconds to wait for a server that is away; 0 = it was never there.
        self.patience = patience
        self._failures = 0
        # How often the server was away again after a long attempt.
        self._returns = 0
        # When the failures in a row began, and when the last attempt did.
        self._begun = self._tried = 0.0

    def reset(self) -> None:
        """Count from zero again: there was progress."""
        self._failures = self._returns = 0

    def wait(self, error: RemoteError) -> None:
        """Sleep before the next attempt; raise the error if there is to be none, or the thread ends."""
        self._count_failure()
        attempts, longest, pause = self._attempts, LONGEST_PAUSE, LONGEST_PAUSE
        if error.reason == ERROR_REASON_SERVER_BUSY:
            attempts, longest = max(attempts, BUSY_ATTEMPTS), LONGEST_BUSY_PAUSE
        if error.retry_after is None or error.retry_after > longest:
            raise error
        if error.is_absence and self.patience:
            pause = LONGEST_AWAY_PAUSE
            if self._failures == ATTEMPTS:
                _log.info("waiting for the server: %s", error)
            if self._is_early():
                attempts = self._failures + 1
        if self._failures >= attempts:
            raise error
        grown = min(0.1 * 2 ** min(self._failures, 10), pause)
        # Random, so that many clients do not come back at the same moment, but not earlier than told.
        spread = random.uniform(0.7, 1.0)  # noqa: S311
        seconds = max(error.retry_after * (2.0 - spread), grown * spread)
        if (stop := _stop.get()) is None:
            time.sleep(seconds)
        elif stop.wait(seconds):
            raise error
        self._tried = time.monotonic()

    def _count_failure(self) -> None:
        now = time.monotonic()
        if not self._failures:
            self._begun = now
        elif now - self._tried > LASTING_SECONDS:
            self._returns += 1
            self._failures, self._begun = self._returns, now
        self._failures += 1

    def _is_early(self) -> bool:
        """Return whether a server that is away is still waited for."""
        seconds = time.monotonic() - self._begun
        return seconds < min(self.patience, AWAY_SECONDS) and self._returns < self._attempts
