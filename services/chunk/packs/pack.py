"""A pack while it is being written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from services.chunk.packs.content import Chunk
from services.chunk.stores.blob_store import BlobWriter
from shared.rpc.validation import MAX_HASHES

# One transaction finalizes a pack, and should not touch more.
MAX_CHUNKS = MAX_HASHES


class PackEntry(NamedTuple):
    """A chunk in a pack: its size, how it is encoded, and where its stored bytes lie; all in bytes."""

    size: int
    compression: str
    offset: int
    length: int


@dataclass(slots=True)
class Pack:
    """A pack of one repository's chunks; one task at a time writes it.

    Attributes:
        key: the key of its object.
        repository_id: the repository that brings the chunks.
        writer: writes its object.
        is_announced: whether its row may be in the database.
        length: bytes of its entries.
        entries: its chunks, by digest.
    """

    key: str
    repository_id: UUID
    writer: BlobWriter
    is_announced: bool = False
    length: int = 0
    entries: dict[bytes, PackEntry] = field(default_factory=dict)

    def add_entries(self, chunks: Iterable[Chunk]) -> list[bytes | memoryview]:
        """Adds an entry for each chunk that the pack lacks; returns the bytes to append."""
        parts: list[bytes | memoryview] = []
        for digest, size, compression, data in chunks:
            if digest not in self.entries:
                self.entries[digest] = PackEntry(size, compression, self.length, len(data))
                self.length += len(data)
                parts.append(data)
        return parts
