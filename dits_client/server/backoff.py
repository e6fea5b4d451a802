"""Pauses between the attempts of a call that may be repeated."""

import random
import threading
import time

from dits_client.errors import RemoteError

# Failures in a row after which a call is given up: few where a person waits for the answer, more in a long
# transfer. Then the longest pause between two attempts, in seconds.
ATTEMPTS = 4
STREAM_ATTEMPTS = 8
LONGEST_PAUSE = 10.0


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
        if error.retry_after is None or self._failures >= self._attempts:
            raise error
        if error.retry_after > LONGEST_PAUSE:
            raise error
        grown = min(0.1 * 2**self._failures, LONGEST_PAUSE)
        # Random, so that many clients do not come back at the same moment.
        pause = max(error.retry_after, grown) * random.uniform(0.7, 1.0)  # noqa: S311
        if stop is None:
            time.sleep(pause)
        elif stop.wait(pause):
            raise error
