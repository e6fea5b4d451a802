"""A pack while it is being written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from services.chunk.packs.content import Chunk
from services.chunk.stores.blob_store import BlobStore, BlobWriter
from shared.db.pool import Database
from shared.rpc.validation import MAX_HASHES

# One transaction finalizes a pack, and should not touch more.
MAX_CHUNKS = MAX_HASHES


class PackEntry(NamedTuple):
    """A chunk in a pack: size, encoding, where its stored bytes lie, in bytes; and its key, as in Chunk."""

    size: int
    compression: str
    offset: int
    length: int
    encryption_key_id: str


@dataclass(slots=True)
class Pack:
    """A pack of chunks; one task at a time writes it.

    Attributes:
        key: the key of its object.
        database: has its row, and those of its chunks.
        store: where it will lie.
        writer: writes its object.
        is_announced: whether its row may be in the database.
        length: bytes of its entries.
        entries: its chunks, by digest.
        conflicts: those that came a second time, under another key.
        reservation: the room that its upload has reserved.
    """

    key: str
    database: Database
    store: BlobStore
    writer: BlobWriter
    is_announced: bool = False
    length: int = 0
    entries: dict[bytes, PackEntry] = field(default_factory=dict)
    conflicts: set[bytes] = field(default_factory=set)
    reservation: UUID | None = None

    def add_entries(self, chunks: Iterable[Chunk]) -> list[bytes | memoryview]:
        """Adds an entry for each chunk that the pack lacks; returns the bytes to append."""
        parts: list[bytes | memoryview] = []
        for digest, size, compression, data, key_id in chunks:
            entry = self.entries.get(digest)
            if entry is None:
                self.entries[digest] = PackEntry(size, compression, self.length, len(data), key_id)
                self.length += len(data)
                parts.append(data)
            elif entry.encryption_key_id != key_id:
                self.conflicts.add(digest)
        return parts
