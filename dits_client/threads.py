"""The same work in several threads, and work that a thread does ahead."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")
# Of one wait for the threads: on Windows, Ctrl-C does not end a wait, and counts when that is over.
_WAIT_SECONDS = 0.5


def run_in_threads(threads: int, work: Callable[[int], None], stop: Callable[[], None]) -> None:
    """Call `work` in each of several threads, with its number from 0 on; raise the first error.

    After an error or an interrupt by the user it calls `stop`, which must end what the threads wait for.
    All threads have ended when this function returns or raises.
    """
    # Most commands need none, and it takes a while to load.
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    pool = ThreadPoolExecutor(threads)
    try:
        running = [pool.submit(work, number) for number in range(threads)]
        left = set(running)
        while left:
            done, left = wait(left, _WAIT_SECONDS, FIRST_EXCEPTION)
            for future in done:
                future.result()
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown()


class Ahead(Generic[Result]):
    """The result of work that a thread does meanwhile; one that nobody asks for is lost, and its error."""

    def __init__(self, work: Callable[[], Result]) -> None:
        """Begin the work."""
        self._work = work
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error

    def get(self) -> Result:
        """Wait for the result and return it; raise the error of the work."""
        while self._thread.is_alive():
            self._thread.join(_WAIT_SECONDS)
        if self._error is not None:
            raise self._error
        return self._results[0]
