"""Running the same work in several threads, and ending it early."""

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait


def run_in_threads(threads: int, work: Callable[[int], None], stop: Callable[[], None]) -> None:
    """Run `work` with the numbers from 0 on, each in a thread; raise the first error.

    On an error, and when the user interrupts, `stop` is called, which has to end whatever the threads may
    wait for; when this function raises, none of them is at work any more.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        running = [pool.submit(work, number) for number in range(threads)]
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown()
