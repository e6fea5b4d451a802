"""Copies the objects of a region from one store to another, while everything goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from services.chunk.collection.stored_chunks import list_chunks, read_chunks
from services.chunk.stores.blob_store import BlobMissing, BlobWriter
from services.chunk.stores.paired_store import PairedStore
from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# Packs that are copied at once; of each, some MiB are in memory.
_PACKS_AT_ONCE = 4
_PAGE = 1000
# What is read at once where no chunk lies, bytes.
_SLICE = 8 << 20


@dataclass(slots=True)
class Moved:
    """What a pass has found and done.

    Attributes:
        there: packs whose objects were in the new store before.
        copied, copied_bytes: packs that were copied, and the bytes of their objects.
        damaged: chunks that are damaged in the old store; they were copied as they are.
        missing: packs whose objects are in neither store, or cut short.
    """

    there: int = 0
    copied: int = 0
    copied_bytes: int = 0
    damaged: int = 0
    missing: int = 0


class StoreMove:
    """Copies what the first of two stores lacks from the second. May be stopped, and begun again."""

    def __init__(self, database: Database, stores: PairedStore) -> None:
        self._database = database
        self._source, self._target = stores.second, stores.first

    async def copy_packs(self) -> AsyncGenerator[Moved, None]:
        """Copies all packs; yields the same account after some packs."""
        moved, position = Moved(), ""
        while rows := await self._database.fetch(
            Q.list_packs, self._target.bucket, position, _PAGE
        ):
            for start in range(0, len(rows), _PACKS_AT_ONCE):
                some = rows[start : start + _PACKS_AT_ONCE]
                await asyncio.gather(*(self._copy(row["key"], row["bytes"], moved) for row in some))
                yield moved
            position = rows[-1]["key"]

    async def _copy(self, key: str, size: int, moved: Moved) -> None:
        there = await self._target.measure_object(key)
        if there is not None and there >= size:
            moved.there += 1
            return
        whole = await self._source.measure_object(key)
        if whole is None or whole < size or there is not None:
            if await self._is_sealed(key):
                log.error("object missing or cut short", pack=key)
                moved.missing += 1
            return
        writer = self._target.open_writer(key)
        try:
            # A move that was killed has left a part of it.
            await writer.discard()
            moved.damaged += await self._write(writer, key, whole)
            await writer.seal()
        except BlobMissing:
            # It has been dropped meanwhile, and its object is gone.
            return
        finally:
            await writer.discard()
        moved.copied += 1
        moved.copied_bytes += whole

    async def _write(self, writer: BlobWriter, key: str, size: int) -> int:
        """Writes an object byte by byte, its chunks as they were verified; returns how many are damaged."""
        position = damaged = 0
        chunks = await list_chunks(self._database, key)
        sources = {self._source.bucket: self._source}
        async with aclosing(read_chunks(sources, self._source.bucket, key, chunks)) as groups:
            async for group in groups:
                for stored, chunk in group:
                    # What is damaged is copied with what lies before the next chunk.
                    damaged += chunk is None
                    if chunk is not None and stored.offset >= position:
                        await self._copy_bytes(writer, key, position, stored.offset)
                        await writer.write_parts([chunk.data])
                        position = stored.offset + stored.length
        await self._copy_bytes(writer, key, position, size)
        return damaged

    async def _copy_bytes(self, writer: BlobWriter, key: str, start: int, end: int) -> None:
        for at in range(start, end, _SLICE):
            ranges: Sequence[tuple[int, int]] = [(at, min(_SLICE, end - at))]
            [data] = await self._source.read_ranges(key, ranges, list)
            await writer.write_parts([data])

    async def _is_sealed(self, key: str) -> bool:
        return await self._database.fetchrow(Q.sealed_pack, key) is not None
