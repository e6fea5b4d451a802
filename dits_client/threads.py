"""The same work in several threads."""

from collections.abc import Callable


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
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown()
