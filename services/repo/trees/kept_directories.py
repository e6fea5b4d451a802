"""Directories that were read last, kept in memory: they are named by their content and never change."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from uuid import UUID

# Bytes of all that is kept, and of the largest directory that is.
MOST_BYTES = 16 << 20
LARGEST_BYTES = 64 << 10
# What the objects around a directory take.
_OVERHEAD = 300


class KeptDirectories:
    """The canonical bytes of small directories, by repository and hash. Safe in any thread.

    A repository never sees what another one has read. What was collected may still be kept; only who has a
    tree that contains it asks for it.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[UUID, str], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, repository_id: UUID, digest: str) -> bytes | None:
        """Returns a directory; None if it is not kept."""
        with self._lock:
            content = self._kept.get((repository_id, digest))
            if content is not None:
                self._kept.move_to_end((repository_id, digest))
            return content

    def add(self, repository_id: UUID, digest: str, content: bytes) -> None:
        """Keeps a directory, unless it is large; what was not asked for for longest goes."""
        if len(content) > LARGEST_BYTES:
            return
        with self._lock:
            if (repository_id, digest) in self._kept:
                return
            self._kept[repository_id, digest] = content
            self._bytes += len(content) + _OVERHEAD
            while self._bytes > MOST_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest) + _OVERHEAD
