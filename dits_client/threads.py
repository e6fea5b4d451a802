"""The same work in several threads."""

from collections.abc import Callable

# Of one wait for the threads.
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
            # On Windows, Ctrl-C does not end a wait: it counts when that is over.
            done, left = wait(left, _WAIT_SECONDS, FIRST_EXCEPTION)
            for future in done:
                future.result()
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown()
