"""Moves chunks from one tier to another: copies them into new packs there, then says so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import structlog

from services.chunk.collection.stored_chunks import StoredChunk, read_chunks
from services.chunk.packs.chunk_move import MovedChunks
from services.chunk.packs.content import Chunk
from services.chunk.packs.pack import MAX_CHUNKS, Pack
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobMissing, BlobStore
from shared.db.pool import Database, Row

log = structlog.get_logger(__name__)

# How long a pack of an archive stays readable that is to go to another one: until the next run.
_KEPT_RESTORED = timedelta(days=3)


class Misplaced(NamedTuple):
    """Chunks of one pack that are to go to one other bucket."""

    target: str
    bucket: str
    pack_key: str
    chunks: Sequence[StoredChunk]


@dataclass(slots=True)
class _NewPack:
    pack: Pack
    old_keys: dict[bytes, str] = field(default_factory=dict)


class TierMoves:
    """Moves chunks between the buckets of one database.

    Attributes:
        absences: the places that were away.
    """

    def __init__(
        self,
        places: Mapping[str, BlobStore],
        writer: PackWriter,
        pack_bytes: int,
        *,
        is_cooling: bool,
    ) -> None:
        """`is_cooling`: what a repository wants hotter than the new place stays where it is."""
        self._places = places
        self._writer = writer
        self._pack_bytes = pack_bytes
        self._is_cooling = is_cooling
        self._new: dict[str, _NewPack] = {}
        self.absences = Absences()

    async def move_chunks(
        self, database: Database, found: Iterable[Misplaced]
    ) -> AsyncGenerator[MovedChunks, None]:
        """Moves chunks; yields what each new pack took over that is full. The rest waits for `finish`.

        What lies in an archive and cannot be read is asked for, and left to another run; as is what lies in
        a place that is away, or goes there.
        """
        for each in found:
            with self.absences.tolerate(each.bucket):
                if self._is_away(each) or not await self._is_readable(each):
                    continue
                stores = {each.bucket: self._places[each.bucket]}
                async with aclosing(
                    read_chunks(stores, each.bucket, each.pack_key, each.chunks)
                ) as groups:
                    async for group in groups:
                        good = [item.chunk for item in group if item.chunk is not None]
                        moved = await self._take_over(database, each, good)
                        if moved is not None:
                            yield moved
                        if self._is_away(each):
                            break

    async def finish(self) -> AsyncGenerator[MovedChunks, None]:
        """Finishes the packs that are not full; yields what each took over."""
        for target in list(self._new):
            with self.absences.tolerate(target):
                yield await self._finalize(target)

    async def abandon(self) -> None:
        """Gives up the packs that are not finished."""
        for target, new in list(self._new.items()):
            await self._writer_to(target).abandon_pack(new.pack)
        self._new.clear()

    async def _take_over(
        self, database: Database, each: Misplaced, good: Sequence[Chunk]
    ) -> MovedChunks | None:
        """Writes chunks into the new pack; returns what it took over if it is full."""
        moved = None
        with self.absences.tolerate(each.target):
            new = self._open(database, each.target)
            fresh = [chunk for chunk in good if chunk.digest not in new.old_keys]
            new.old_keys.update((chunk.digest, each.pack_key) for chunk in fresh)
            await self._writer_to(each.target).append_chunks(new.pack, fresh)
            moved = await self._finalize(each.target) if self._is_full(new) else None
        if each.target in self.absences.buckets and (left := self._new.pop(each.target, None)):
            await self._writer_to(each.target).abandon_pack(left.pack)
        return moved

    def _is_away(self, each: Misplaced) -> bool:
        return not self.absences.buckets.isdisjoint((each.bucket, each.target))

    async def _is_readable(self, each: Misplaced) -> bool:
        store = self._places[each.bucket]
        if await store.is_restored(each.pack_key):
            return True
        try:
            await store.begin_restore(each.pack_key, _KEPT_RESTORED)
        except BlobMissing:
            log.warning("no such object", bucket=each.bucket, pack=each.pack_key)
        return False

    def _open(self, database: Database, target: str) -> _NewPack:
        if target not in self._new:
            self._new[target] = _NewPack(self._writer_to(target).begin_pack_in(database))
        return self._new[target]

    def _writer_to(self, target: str) -> PackWriter:
        return self._writer.for_store(self._places[target])

    def _is_full(self, new: _NewPack) -> bool:
        # A group that is read at once has 8 MiB, and never more chunks than a pack.
        return new.pack.length >= self._pack_bytes or len(new.pack.entries) >= MAX_CHUNKS // 2

    async def _finalize(self, target: str) -> MovedChunks:
        new = self._new.pop(target)
        return await self._writer_to(target).finalize_moves(
            new.pack, new.old_keys, is_cooling=self._is_cooling
        )


def parse_chunk(row: Row) -> StoredChunk:
    """Returns a chunk of a row with its digest, size, compression and storage_key."""
    offset, _, length = row["storage_key"].partition("@")[2].partition("+")
    return StoredChunk(
        int(offset),
        int(length),
        row["digest"],
        row["size"],
        row["compression"],
        is_home=True,
        is_lost=False,
    )
