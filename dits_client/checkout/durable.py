"""What is on the disk, and not only in memory, so that it survives a power failure."""

import os
import sys
from collections.abc import Callable, Collection
from functools import cache

# So many files are synchronised one by one; of more, all that the file system has to write. That may be of
# other programs, too.
MOST_SINGLE = 16


def sync_each(names: Collection[str], open_name: Callable[[str], int], top: int) -> None:
    """Return when files or directories are on the disk; `top` is a descriptor of their file system.

    `open_name` returns a descriptor, which is closed here. Raises OSError.
    """
    if len(names) > MOST_SINGLE:
        _sync_file_system(top)
        return
    for name in names:
        try:
            descriptor = open_name(name)
        except PermissionError:
            # The mode of a file may allow nobody to read it.
            _sync_file_system(top)
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync_file_system(descriptor: int) -> None:
    sync = _find_syncfs()
    if sync is None:
        os.sync()
    elif sync(descriptor) != 0:
        import ctypes

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _find_syncfs() -> Callable[[int], int] | None:
    """Return the call of Linux for one file system; None = there is only that for all of them."""
    if sys.platform != "linux":
        return None
    # Python has no name for it.
    import ctypes

    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return found
