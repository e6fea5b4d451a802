"""The renewal of the locks that a push relies on."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from dits.lock.v1.lock_service_pb2 import RENEW_OUTCOME_RENEWED, Lock
from google.protobuf.timestamp_pb2 import Timestamp

from dits_client.batches import split_into_batches
from dits_client.errors import ClientError
from dits_client.server.backoff import end_waits_at
from dits_client.server.locks import MAX_PATHS, renew_locks
from dits_client.server.repository import RepositoryClient

# Duration of a lock that a push takes; it is renewed when less than half of it is left. If the machine
# fails during the push, others wait no longer than this.
TTL_SECONDS = 600.0
# The pause between two looks at the locks.
TICK_SECONDS = 20.0
# Of one call: short, because the next attempt comes soon.
CALL_SECONDS = 20.0


class LockRenewal:
    """Renews locks in a thread; a lock that cannot be renewed is forgotten, and the server decides."""

    def __init__(self, repository: RepositoryClient) -> None:
        self._repository = repository
        # Locks to renew, and when locks end by the clock of this process; both by lock id.
        self._locks: dict[str, Lock] = {}
        self._ends: dict[str, float] = {}
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew_all, name="renew locks", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def add(self, lock: Lock) -> None:
        """Renew a lock from now on; its end must have been noted."""
        with self._guard:
            self._locks[lock.id] = lock

    def note_end(self, lock: Lock, server_time: Timestamp, asked: float) -> None:
        """Note when a lock ends: `server_time` came with it, `asked` is when the call started here."""
        left = (lock.expire_time.ToNanoseconds() - server_time.ToNanoseconds()) / 1e9
        with self._guard:
            self._ends[lock.id] = asked + left

    def count_seconds_left(self, lock: Lock) -> float:
        """Return the seconds until a lock ends, whose end was noted, whatever this machine's date is."""
        with self._guard:
            return self._ends[lock.id] - time.monotonic()

    def _renew_all(self) -> None:
        """Renew locks that are about to end, until the push is over."""
        end_waits_at(self._stopped)
        while not self._stopped.wait(TICK_SECONDS):
            with self._guard:
                soon = time.monotonic() + TTL_SECONDS / 2
                due = [lock for lock in self._locks.values() if self._ends[lock.id] < soon]
            for batch in split_into_batches(due, max_count=MAX_PATHS):
                if self._stopped.is_set():
                    return
                with suppress(ClientError):
                    self._renew_batch(batch)

    def _renew_batch(self, locks: Sequence[Lock]) -> None:
        asked = time.monotonic()
        (response,) = renew_locks(self._repository, locks, int(TTL_SECONDS), timeout=CALL_SECONDS)
        for result in response.results:
            if result.outcome == RENEW_OUTCOME_RENEWED:
                self.note_end(result.lock, response.server_time, asked)
            else:
                with self._guard:
                    del self._locks[result.lock_id]
