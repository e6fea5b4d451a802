"""Manifests and recipes kept beside the index, so that the server need not be asked for them again."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from blake3 import blake3

MANIFEST, RECIPE = 0, 1


class Extent(NamedTuple):
    """Where an object is in the index file."""

    kind: int
    offset: int
    length: int


class Objects:
    """Objects by their names: those of the index file, read when they are wanted, and new ones."""

    def __init__(self, descriptor: int = -1, places: dict[bytes, Extent] | None = None) -> None:
        self._descriptor = descriptor
        self._places = places or {}
        self._new: dict[bytes, tuple[int, bytes]] = {}

    def get(self, digest: bytes) -> bytes | None:
        """Return an object; None = it is not here, or damaged."""
        if digest in self._new:
            return self._new[digest][1]
        place = self._places.get(digest)
        if place is None:
            return None
        content = os.pread(self._descriptor, place.length, place.offset)
        return content if blake3(content).digest() == digest else None

    def add(self, kind: int, content: bytes) -> bytes:
        """Keep an object; return its name."""
        digest = blake3(content).digest()
        self._new[digest] = (kind, content)
        return digest

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._new or digest in self._places

    def list_recipes(self) -> Iterator[bytes]:
        """Yield the names of the recipes."""
        yield from (digest for digest, (kind, _) in self._new.items() if kind == RECIPE)
        yield from (digest for digest, place in self._places.items() if place.kind == RECIPE)

    def close(self) -> None:
        """Close the index file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._places = {}
