"""Reads chunks from the nearest place where they are intact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing, suppress

import structlog

from services.chunk.collection.stored_chunks import StoredChunk, list_places, read_chunks
from services.chunk.packs.content import Chunk
from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobFrozen, BlobStore
from shared.db.pool import Database

log = structlog.get_logger(__name__)

# Bucket and pack.
PackPlace = tuple[str, str]


class GoodCopies:
    """A search for intact bytes of chunks, in all regions, the nearest first.

    Attributes:
        absent: chunks of which no intact copy was found, though one may lie in a store that is away.
        damaged: the packs in which damaged or missing bytes were found.
    """

    def __init__(self, database: Database, stores: Mapping[str, BlobStore]) -> None:
        """`stores`: by the names of their buckets, the nearest first."""
        self._database = database
        self._stores = stores
        self._nearness = {bucket: at for at, bucket in enumerate(stores)}
        self._absences = Absences()
        self.absent: set[bytes] = set()
        self.damaged: set[PackPlace] = set()

    async def read_chunks(
        self, digests: Collection[bytes], without: PackPlace | None = None
    ) -> AsyncGenerator[list[Chunk], None]:
        """Yields the chunks of which there is an intact copy, outside of one pack, some at a time."""
        left = await self._list_candidates(digests, without)
        while left:
            packs: dict[PackPlace, list[StoredChunk]] = defaultdict(list)
            for candidates in left.values():
                bucket, key, stored = candidates.pop(0)
                packs[bucket, key].append(stored)
            for place, chunks in packs.items():
                async with aclosing(self._read_pack(place, sorted(chunks))) as groups:
                    async for good in groups:
                        for chunk in good:
                            del left[chunk.digest]
                            self.absent.discard(chunk.digest)
                        yield good
            left = {digest: candidates for digest, candidates in left.items() if candidates}

    async def _list_candidates(
        self, digests: Collection[bytes], without: PackPlace | None
    ) -> dict[bytes, list[tuple[str, str, StoredChunk]]]:
        """Returns the places of each chunk, the nearest first."""
        found: dict[bytes, list[tuple[str, str, StoredChunk]]] = defaultdict(list)
        for bucket, key, stored in await list_places(self._database, digests):
            if bucket not in self._stores:
                self.absent.add(stored.digest)
            elif (bucket, key) != without:
                found[stored.digest].append((bucket, key, stored))
        for candidates in found.values():
            candidates.sort(key=lambda each: self._nearness[each[0]])
        return found

    async def _read_pack(
        self, place: PackPlace, chunks: list[StoredChunk]
    ) -> AsyncGenerator[list[Chunk], None]:
        """Yields those chunks of a pack that are intact."""
        bucket, key = place
        left = {each.digest for each in chunks}
        if bucket not in self._absences.buckets:
            # What lies in an archive is there, but cannot be read now.
            with self._absences.tolerate(bucket), suppress(BlobFrozen):
                async with aclosing(read_chunks(self._stores, bucket, key, chunks)) as groups:
                    async for group in groups:
                        left -= {each.stored.digest for each in group}
                        if any(each.chunk is None for each in group):
                            self.damaged.add(place)
                        yield [each.chunk for each in group if each.chunk is not None]
        self.absent |= left
