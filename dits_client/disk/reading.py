"""Bytes of open files."""

import os
import sys
from pathlib import Path

from dits_client.disk.disks import get_disk
from dits_client.disk.patience import wait_while_in_use

if sys.platform == "win32":

    def read_into(descriptor: int, view: memoryview) -> int:
        """Fill a buffer from the position on; return how many bytes there were, 0 at the end."""
        content = os.read(descriptor, len(view))
        view[: len(content)] = content
        return len(content)

    def read_at(descriptor: int, size: int, offset: int) -> bytes:
        """Return bytes at an offset; on some systems that moves the position."""
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)

    def read_into_at(descriptor: int, view: memoryview, offset: int) -> int:
        """Fill a buffer from an offset on; return how many bytes there were, 0 at the end."""
        os.lseek(descriptor, offset, os.SEEK_SET)
        return read_into(descriptor, view)
else:

    def read_into(descriptor: int, view: memoryview) -> int:
        """Fill a buffer from the position on; return how many bytes there were, 0 at the end."""
        return os.readv(descriptor, [view])

    def read_at(descriptor: int, size: int, offset: int) -> bytes:
        """Return bytes at an offset; on some systems that moves the position."""
        return os.pread(descriptor, size, offset)

    def read_into_at(descriptor: int, view: memoryview, offset: int) -> int:
        """Fill a buffer from an offset on; return how many bytes there were, 0 at the end."""
        return os.preadv(descriptor, [view], offset)


class HeldFile:
    """A file as it was when it was opened, whatever takes its place meanwhile; for several threads."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError."""
        # Where an open file could not be replaced, it is read at once.
        self._content = None
        if not get_disk().replaces_open_files:
            self._content = wait_while_in_use(path.read_bytes)
        self._descriptor = -1
        if self._content is None:
            self._descriptor = os.open(path, os.O_RDONLY)
            self.size = os.fstat(self._descriptor).st_size
        else:
            self.size = len(self._content)

    def read_at(self, size: int, offset: int) -> bytes:
        """Return bytes at an offset. Raises OSError."""
        if self._content is None:
            return read_at(self._descriptor, size, offset)
        return self._content[offset : offset + size]

    def close(self) -> None:
        """Close the file; once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._content = -1, b""
