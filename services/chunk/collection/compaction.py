"""Compaction: chunks leave packs that are mostly dead space, or hold what is to be erased."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import structlog

from services.chunk.collection.stored_chunks import StoredChunk, list_chunks, read_chunks
from services.chunk.packs.chunk_move import MovedChunks
from services.chunk.packs.pack import MAX_CHUNKS, Pack
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import BlobMissing, BlobStore, is_archive
from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

_PAGE = 200
# How long a pack of an archive stays readable: until the next runs.
_KEPT_RESTORED = timedelta(days=3)


class Compacted(NamedTuple):
    """What one new pack took over: the number of packs it replaces, and the chunks."""

    packs: int
    moved: MovedChunks


@dataclass(slots=True)
class _NewPack:
    """A pack that takes the chunks of several."""

    pack: Pack
    old_keys: dict[bytes, str] = field(default_factory=dict)
    sources: int = 0


class Compaction:
    """Compacts the packs of one store: home copies and copies stay in their region."""

    def __init__(
        self,
        store: BlobStore,
        writer: PackWriter,
        *,
        dead_percent: float,
        pack_bytes: int,
        open_pack: timedelta,
    ) -> None:
        """Compacts the packs of `store`; `writer` writes there, or where hot ones lie.

        `dead_percent`: least share of dead bytes. `pack_bytes`: size of the new packs, about.
        `open_pack`: after which time a pack that is being written is given up.
        """
        self._store = store
        self._writer = writer
        self._live_share = 1 - dead_percent / 100
        self._pack_bytes = pack_bytes
        self._open_pack = open_pack
        # To read what lies there costs more than its dead space.
        self._is_archive = is_archive(store.storage_class)

    async def compact_packs(self, database: Database) -> AsyncGenerator[Compacted, None]:
        """Moves the chunks of sparse packs into new ones; yields what each new pack took over."""
        new = _NewPack(self._writer.begin_pack_in(database))
        try:
            async with aclosing(self._find_sparse(database)) as packs:
                async for key, chunks in packs:
                    if self._is_full(new, chunks):
                        yield await self._finalize(new)
                        new = _NewPack(self._writer.begin_pack_in(database))
                    await self._copy_chunks(new, key, chunks)
            yield await self._finalize(new)
        except BaseException:
            await self._writer.abandon_pack(new.pack)
            raise
        if not await self._find_to_erase(database, bucket=None):
            # In no region; and a pack that was open when they were deleted is sealed by now, or never.
            await database.statement(Q.end_erasures, 2 * self._open_pack)

    async def _find_sparse(
        self, database: Database
    ) -> AsyncGenerator[tuple[str, list[StoredChunk]], None]:
        """Yields packs to be compacted, with their chunks."""
        position = ""
        bucket = self._store.bucket
        to_erase = await self._find_to_erase(database, bucket)
        while rows := await database.fetch(Q.pack_usage, bucket, position, _PAGE):
            for row in rows:
                is_sparse = (
                    not self._is_archive and row["live_bytes"] <= row["bytes"] * self._live_share
                )
                is_wanted = is_sparse or row["key"] in to_erase
                if is_wanted and await self._is_readable(row["key"]):
                    yield row["key"], await list_chunks(database, row["key"])
            position = rows[-1]["key"]

    async def _is_readable(self, key: str) -> bool:
        """Returns whether a pack can be read; if it lies in an archive, asks for it, for a later run."""
        if await self._store.is_restored(key):
            return True
        log.warning("a pack in an archive is restored, to be compacted later", pack=key)
        with suppress(BlobMissing):
            await self._store.begin_restore(key, _KEPT_RESTORED)
        return False

    async def _find_to_erase(self, database: Database, bucket: str | None) -> set[str]:
        """Returns the packs that hold bytes of chunks that were obliterated, and are deleted."""
        found: set[str] = set()
        position: str | None = ""
        while position is not None:
            [row] = await database.fetch(Q.packs_to_erase, bucket, position, _PAGE)
            position = row["last"]
            found.update(row["keys"])
        return found

    def _is_full(self, new: _NewPack, chunks: list[StoredChunk]) -> bool:
        length = sum(each.length for each in chunks)
        return bool(new.pack.entries) and (
            new.pack.length + length > self._pack_bytes
            or len(new.pack.entries) + len(chunks) > MAX_CHUNKS
        )

    async def _copy_chunks(self, new: _NewPack, key: str, chunks: list[StoredChunk]) -> None:
        """Copies the chunks of a pack that are intact. The scrub looks after the others."""
        stores = {self._store.bucket: self._store}
        async with aclosing(read_chunks(stores, self._store.bucket, key, chunks)) as groups:
            async for group in groups:
                good = [each.chunk for each in group if each.chunk is not None]
                if len(good) < len(group):
                    log.error("chunks left in a pack that is compacted", pack=key)
                new.old_keys.update((chunk.digest, key) for chunk in good)
                await self._writer.append_chunks(new.pack, good)
        new.sources += 1

    async def _finalize(self, new: _NewPack) -> Compacted:
        return Compacted(new.sources, await self._writer.finalize_moves(new.pack, new.old_keys))
