"""The chunks of a pack that a client has put, as it says that they lie there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.chunk.packs.content import Chunk, ChunkOpener, ContentMismatch
from shared.errors import content_mismatch

# What is read at once, bytes, stored and uncompressed.
_GROUP_BYTES = 8 << 20


class PackedChunk(NamedTuple):
    """A chunk as the client says that it lies in its pack: as in Chunk, and how long."""

    digest: bytes
    size: int
    compression: str
    length: int
    encryption_key_id: str


def split_groups(chunks: Sequence[PackedChunk]) -> Iterator[tuple[int, list[PackedChunk]]]:
    """Yields chunks that are read at once, with the offset of the first."""
    group: list[PackedChunk] = []
    offset = start = size = 0
    for chunk in chunks:
        weight = max(chunk.length, chunk.size)
        if group and size + weight > _GROUP_BYTES:
            yield start, group
            group, start, size = [], offset, 0
        group.append(chunk)
        offset += chunk.length
        size += weight
    if group:
        yield start, group


def lay_out(offset: int, group: Sequence[PackedChunk]) -> Iterator[tuple[int, int]]:
    """Yields the offset and length of each chunk of a group that begins at `offset`."""
    for chunk in group:
        yield offset, chunk.length
        offset += chunk.length


def open_group(group: Sequence[PackedChunk], stored: Sequence[memoryview]) -> list[Chunk]:
    """Returns chunks that are what they are said to be. Raises CONTENT_MISMATCH."""
    opener, opened = ChunkOpener(), []
    for each, data in zip(group, stored, strict=True):
        chunk = Chunk(each.digest, each.size, each.compression, data, each.encryption_key_id)
        try:
            opener.open_chunk(chunk)
        except ContentMismatch as mismatch:
            raise content_mismatch(str(mismatch), expected=each.digest.hex()) from None
        opened.append(chunk)
    return opened
