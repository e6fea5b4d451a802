"""Chunks that a checkout finds in the folder: in files that changed upstream, or only moved."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from dits_client.content.chunking import HASH_BYTES
from dits_client.transfer.download import ChunkRef


class ChunkLocation(NamedTuple):
    """Where a chunk was when the folder was last read."""

    path: str
    offset: int


class LocalChunks:
    """The chunks of some files; what is read is checked, so that a file may change at any time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._spots: dict[bytes, ChunkLocation] = {}

    def add_file(self, path: str, hashes: bytes, sizes: Iterable[int]) -> None:
        """Add the chunks of a file."""
        offset = 0
        for at, size in enumerate(sizes):
            digest = hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]
            self._spots.setdefault(digest, ChunkLocation(path, offset))
            offset += size

    def find_chunk(self, wanted: ChunkRef) -> bytes | None:
        """Return a chunk if it is still there."""
        spot = self._spots.get(wanted.hash)
        if spot is None:
            return None
        with suppress(OSError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._root / spot.path, flags)
            try:
                content = os.pread(descriptor, wanted.size, spot.offset)
            finally:
                os.close(descriptor)
            if blake3(content).digest() == wanted.hash:
                return content
        return None
