"""Bytes of open files that are on the disk for good."""

import os
import sys
from contextlib import suppress

if sys.platform == "win32":
    # Windows needs a descriptor for writing.
    sync_descriptor = os.fsync
else:
    import fcntl

    # Of macOS, whose fsync leaves the bytes in the memory of the drive.
    _FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)

    def sync_descriptor(descriptor: int) -> None:
        """Return when a file or directory is on the disk. Raises OSError."""
        # Not every disk knows it.
        with suppress(OSError):
            if _FULL_SYNC is not None:
                fcntl.fcntl(descriptor, _FULL_SYNC)
                return
        os.fsync(descriptor)
