"""Chunks that a checkout need not fetch: they are in files of the folder that changed or moved upstream."""

import os
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from dits_client.content.chunking import ChunkRef
from dits_client.content.manifest import Change
from dits_client.disk.disks import get_disk
from dits_client.disk.reading import read_at
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.download import Downloader
from dits_client.transfer.lost_content import LostChunkError


class ChunkLocation(NamedTuple):
    """Where a chunk was when its file was last read."""

    path: str
    offset: int


class LocalChunks:
    """The chunks of some files; each is checked when it is read, because a file may change at any time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._locations: dict[bytes, ChunkLocation] = {}

    def add_file(self, path: str, chunks: Iterable[ChunkRef]) -> None:
        """Add the chunks of a file, in their order."""
        offset = 0
        for chunk in chunks:
            self._locations.setdefault(chunk.hash, ChunkLocation(path, offset))
            offset += chunk.size

    def find_chunk(self, wanted: ChunkRef) -> bytes | None:
        """Return a chunk; None = no file has it."""
        location = self._locations.get(wanted.hash)
        if location is None:
            return None
        with suppress(OSError):
            descriptor = get_disk().open_anywhere(str(self._root / location.path))
            try:
                content = read_at(descriptor, wanted.size, location.offset)
            finally:
                os.close(descriptor)
            if blake3(content).digest() == wanted.hash:
                return content
        return None


def find_local_chunks(
    root: Path,
    repository: RepositoryClient,
    upstream: Sequence[Change],
    obliterated: Container[bytes],
) -> LocalChunks:
    """Return the chunks of the changed files of a folder: often most of a file is unchanged."""
    local = LocalChunks(root)
    if all(change.new is None for change in upstream):
        return local
    known = {
        path: old.file
        for path, old, _ in upstream
        if old is not None
        and old.HasField("file")
        # Nobody can get their chunk lists any more.
        and old.file.hash not in obliterated
    }
    downloader = Downloader(repository, lambda _: None)
    lists = downloader.fetch_chunk_lists(list(known.values()))
    # The new version may be there although a recipe of the old one is not.
    with suppress(LostChunkError):
        for path, chunks in zip(known, lists, strict=True):
            local.add_file(path, chunks)
    return local
