"""Manifests and recipes that the index file keeps, so that they are not fetched again."""

from collections.abc import Iterator
from typing import NamedTuple

from blake3 import blake3

from dits_client.disk.reading import HeldFile

MANIFEST, RECIPE = 0, 1


class Extent(NamedTuple):
    """Where an object is in the index file."""

    kind: int
    offset: int
    length: int


class Objects:
    """Objects by their hashes: those of the index file, read on demand, and new ones."""

    def __init__(
        self, file: HeldFile | None = None, extents: dict[bytes, Extent] | None = None
    ) -> None:
        self._file = file
        self._extents = extents or {}
        self._new: dict[bytes, tuple[int, bytes]] = {}

    def get(self, object_hash: bytes) -> bytes | None:
        """Return an object; None = it is absent or damaged."""
        if object_hash in self._new:
            return self._new[object_hash][1]
        extent = self._extents.get(object_hash)
        if extent is None or self._file is None:
            return None
        content = self._file.read_at(extent.length, extent.offset)
        return content if blake3(content).digest() == object_hash else None

    def add(self, kind: int, content: bytes) -> bytes:
        """Add an object; return its hash."""
        object_hash = blake3(content).digest()
        self._new[object_hash] = (kind, content)
        return object_hash

    def __contains__(self, object_hash: bytes) -> bool:
        return object_hash in self._new or object_hash in self._extents

    def list_recipes(self) -> Iterator[bytes]:
        """Yield the hashes of the recipes."""
        yield from (object_hash for object_hash, (kind, _) in self._new.items() if kind == RECIPE)
        yield from (
            object_hash for object_hash, extent in self._extents.items() if extent.kind == RECIPE
        )

    def close(self) -> None:
        """Close the index file."""
        if self._file is not None:
            self._file.close()
            self._file, self._extents = None, {}
