"""Reads chunks from the nearest place where they are intact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing, suppress
from datetime import timedelta

import structlog

from services.chunk.collection.stored_chunks import StoredChunk, list_places, read_chunks
from services.chunk.packs.content import Chunk
from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobFrozen, BlobMissing, BlobStore
from shared.db.pool import Database

log = structlog.get_logger(__name__)

# Bucket and pack.
PackPlace = tuple[str, str]
# How long a pack of an archive stays readable that was asked for: until the next runs.
_KEPT_RESTORED = timedelta(days=3)


class GoodCopies:
    """A search for intact bytes of chunks, in all regions, the nearest first.

    Attributes:
        absent: chunks of which no intact copy was found, though one may lie in a store that is away.
        damaged: the packs in which damaged or missing bytes were found.
        frozen: packs in archives from which bytes were wanted: they were asked for, and can be read later.
    """

    def __init__(self, database: Database, stores: Mapping[str, BlobStore]) -> None:
        """`stores`: by the names of their buckets, the nearest first."""
        self._database = database
        self._stores = stores
        self._nearness = {bucket: at for at, bucket in enumerate(stores)}
        self._absences = Absences()
        self.absent: set[bytes] = set()
        self.damaged: set[PackPlace] = set()
        self.frozen: set[PackPlace] = set()

    async def find_intact(
        self, digests: Collection[bytes], regions: Mapping[bytes, Collection[str]] | None = None
    ) -> set[bytes]:
        """Reads chunks; returns those of which there is an intact copy, in their regions of `regions`."""
        intact: set[bytes] = set()
        async with aclosing(self.read_chunks(digests, regions=regions)) as groups:
            async for good in groups:
                intact.update(chunk.digest for chunk in good)
        return intact

    async def read_chunks(
        self,
        digests: Collection[bytes],
        without: PackPlace | None = None,
        regions: Mapping[bytes, Collection[str]] | None = None,
    ) -> AsyncGenerator[list[Chunk], None]:
        """Yields the chunks of which there is an intact copy, some at a time.

        That is outside of one pack, and for each chunk in its regions of `regions`; None = anywhere.
        """
        left = await self._list_candidates(digests, without, regions)
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
        self,
        digests: Collection[bytes],
        without: PackPlace | None,
        regions: Mapping[bytes, Collection[str]] | None,
    ) -> dict[bytes, list[tuple[str, str, StoredChunk]]]:
        """Returns the places of each chunk, the nearest first."""
        found: dict[bytes, list[tuple[str, str, StoredChunk]]] = defaultdict(list)
        for bucket, key, stored in await list_places(self._database, digests):
            if bucket not in self._stores:
                self.absent.add(stored.digest)
            elif (bucket, key) != without and (
                regions is None or self._stores[bucket].region in regions[stored.digest]
            ):
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
            with self._absences.tolerate(bucket):
                try:
                    async with aclosing(read_chunks(self._stores, bucket, key, chunks)) as groups:
                        async for group in groups:
                            left -= {each.stored.digest for each in group}
                            if any(each.chunk is None for each in group):
                                self.damaged.add(place)
                            yield [each.chunk for each in group if each.chunk is not None]
                except BlobFrozen:
                    await self._thaw(place)
        self.absent |= left

    async def _thaw(self, place: PackPlace) -> None:
        """Asks for a pack of an archive: it is there, but cannot be read now."""
        bucket, key = place
        self.frozen.add(place)
        log.info("a pack in an archive is asked for", bucket=bucket, pack=key)
        with suppress(BlobMissing):
            await self._stores[bucket].begin_restore(key, _KEPT_RESTORED)
