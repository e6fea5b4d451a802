"""Chunks that are needed again after the request that fetches them: they are fetched once, and kept."""

from collections import Counter
from collections.abc import Iterator, Sequence

from dits_client.content.chunking import ChunkRef

# The most bytes that are kept; chunks beyond are fetched again.
KEPT_BYTES = 32 << 20


class RepeatedChunks:
    """The chunks of one download that several of its requests need, which are made in order."""

    def __init__(self, wanted: Sequence[ChunkRef]) -> None:
        self._left = Counter(chunk.hash for chunk in wanted)
        # Of the uses that requests have not planned yet.
        self._unplanned = self._left.copy()
        # None = promised: the request that fetches the chunk has not yielded it yet.
        self._kept: dict[bytes, bytes | None] = {}
        self._sizes: dict[bytes, int] = {}
        self._room = KEPT_BYTES

    def plan(self, wanted: Sequence[ChunkRef]) -> Iterator[tuple[ChunkRef, bool]]:
        """Yield each chunk of the next request, and whether an earlier one brings it."""
        uses = Counter(wanted)
        for chunk, count in uses.items():
            self._unplanned[chunk.hash] -= count
            is_coming = chunk.hash in self._kept
            if not is_coming and self._unplanned[chunk.hash] and 0 <= chunk.size <= self._room:
                self._kept[chunk.hash] = None
                self._sizes[chunk.hash] = chunk.size
                self._room -= chunk.size
            yield chunk, is_coming

    def keep(self, chunk_hash: bytes, content: bytes) -> None:
        """Note the content of a chunk that was used; it is kept if it was promised."""
        if chunk_hash in self._kept:
            self._kept[chunk_hash] = content
        self._use(chunk_hash)

    def take(self, chunk_hash: bytes) -> bytes | None:
        """Return a chunk that is kept, for its next use; None = it is not."""
        content = self._kept.get(chunk_hash)
        if content is not None:
            self._use(chunk_hash)
        return content

    def _use(self, chunk_hash: bytes) -> None:
        self._left[chunk_hash] -= 1
        if not self._left[chunk_hash] and chunk_hash in self._kept:
            del self._kept[chunk_hash]
            self._room += self._sizes.pop(chunk_hash)
