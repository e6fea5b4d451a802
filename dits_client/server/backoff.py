"""Pauses between the attempts of a call that may be repeated."""

import random
import threading
import time

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


class Backoff:
    """Counts failures in a row and waits longer after each."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._failures = 0

    def reset(self) -> None:
        """Count from zero again: there was progress."""
        self._failures = 0

    def wait(self, error: RemoteError, stop: threading.Event | None = None) -> None:
        """Sleep before the next attempt; raise the error if there is to be none, or on `stop`."""
        self._failures += 1
        attempts, longest = self._attempts, LONGEST_PAUSE
        if error.reason == ERROR_REASON_SERVER_BUSY:
            attempts, longest = max(attempts, BUSY_ATTEMPTS), LONGEST_BUSY_PAUSE
        if error.retry_after is None or self._failures >= attempts:
            raise error
        if error.retry_after > longest:
            raise error
        grown = min(0.1 * 2 ** min(self._failures, 10), LONGEST_PAUSE)
        # Random, so that many clients do not come back at the same moment, but not earlier than told.
        spread = random.uniform(0.7, 1.0)  # noqa: S311
        pause = max(error.retry_after * (2.0 - spread), grown * spread)
        if stop is None:
            time.sleep(pause)
        elif stop.wait(pause):
            raise error
