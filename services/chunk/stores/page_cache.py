"""Which parts of files the system keeps in memory: docs/decisions/0039-packs-and-the-page-cache.md."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import OrderedDict
from contextlib import suppress

# What a file has in memory, at least, before it is written to the disk and dropped. Smaller files stay.
WINDOW_BYTES = 4 << 20
# Less stays, too.
_LEAST_READ = 256 << 10
# One client reads a file in several steps. In seconds.
_ONE_READER = 60.0
_FORGOTTEN = 3600.0
_REMEMBERED_FILES = 50_000


def _drop(file: int, offset: int, length: int) -> None:
    """Has pages written to the disk, without waiting for it, or dropped if they are there already."""
    # macOS does not have it, and a file system may take no advice: then all is as if none was given.
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(file, offset, length, os.POSIX_FADV_DONTNEED)


class WrittenPages:
    """The pages of a file that is written from its beginning to its end."""

    def __init__(self) -> None:
        self._length = 0
        # Written to the disk from here on, which the next step waits for; and not yet.
        self._begun = self._ready = 0

    def add(self, file: int, length: int) -> None:
        """Notes bytes that were appended, and has them written once they are enough."""
        self._length += length
        if self._length - self._ready >= WINDOW_BYTES:
            _drop(file, self._begun, self._length - self._begun)
            self._begun, self._ready = self._ready, self._length

    def drop_rest(self, file: int) -> None:
        """Drops what is left of a larger file that is on the disk, as where the disk was slow."""
        if self._ready:
            _drop(file, 0, 0)


class ReadPages:
    """Which files were read, and when for the first time. Used by several threads."""

    def __init__(self, one_reader: float = _ONE_READER, forgotten: float = _FORGOTTEN) -> None:
        """Creates a memory of readings.

        `one_reader`, `forgotten`: seconds after the first reading in which it still goes on, and after
        which the next is the first again.
        """
        self._one_reader = one_reader
        self._forgotten = forgotten
        self._first: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def drop(self, name: str, file: int, offset: int, length: int) -> None:
        """Drops what was just read from a file, unless somebody else has read the file lately."""
        if length >= _LEAST_READ and not self._is_wanted(name):
            _drop(file, offset, length)

    def _is_wanted(self, name: str) -> bool:
        now = time.monotonic()
        with self._lock:
            age = now - self._first.get(name, -math.inf)
            if age >= self._forgotten:
                self._first[name] = now
                self._first.move_to_end(name)
                if len(self._first) > _REMEMBERED_FILES:
                    self._first.popitem(last=False)
        return self._one_reader <= age < self._forgotten
