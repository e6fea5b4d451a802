"""Locks of files between processes; a process that is killed leaves none."""

import errno
import os
import sys
import time
from pathlib import Path

# Seconds between two attempts where the system cannot wait.
_PAUSE = 0.05

if sys.platform == "win32":
    import msvcrt

    # What a lock of another process gives.
    _TAKEN = (errno.EACCES, errno.EDEADLK, 0)

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            return False
        return True

    def _wait_for_lock(descriptor: int) -> None:
        while not _try_lock(descriptor):
            time.sleep(_PAUSE)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_for_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


class FileLock:
    """A lock that is held from `acquire` to `close`."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made if it is absent. Raises OSError."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def try_acquire(self) -> bool:
        """Return whether no other process had the lock."""
        return _try_lock(self._descriptor)

    def acquire(self) -> None:
        """Wait for the lock."""
        _wait_for_lock(self._descriptor)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)
