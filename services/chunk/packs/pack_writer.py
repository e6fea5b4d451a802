"""Writes packs: many chunks in one immutable object, announced, written, finalized or abandoned."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

import asyncpg
import structlog

from services.chunk.catalog.copy_requests import request_copies
from services.chunk.catalog.presence import Presence
from services.chunk.packs.chunk_move import ChunkMove, MovedChunks
from services.chunk.packs.content import Chunk
from services.chunk.packs.copy_placement import CopyPlacement, PlacedCopies
from services.chunk.packs.pack import Pack
from services.chunk.packs.pack_finalization import PackFinalization, StoredChunks
from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.meant_stores import given_up
from shared.db import sql
from shared.db.pool import UNREACHABLE, Connection, Database, Databases, Work
from shared.errors import DomainError
from shared.records.ownership import require_unchanged
from shared.rpc.call import Call

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

Result = TypeVar("Result")


class Around(Protocol):
    """What a transaction does besides finalizing a pack."""

    async def __call__(self, connection: Connection, *, steps: Work[StoredChunks]) -> StoredChunks:
        """Returns what the steps return."""


async def store_for_owner(
    connection: Connection, *, call: Call, steps: Work[StoredChunks]
) -> StoredChunks:
    """Finalizes a pack of a call. Raises CONTENTION, REPOSITORY_READ_ONLY: see `require_unchanged`."""
    stored = await steps(connection)
    # They have locked the repository.
    await require_unchanged(connection, call)
    return stored


# Between the attempts of a commit that was cut off, in seconds: as long as a restart takes.
_COMMIT_PAUSES = (0.1, 0.5, 2.0, 5.0)


class PackWriter:
    """Writes the packs of one store."""

    def __init__(
        self,
        databases: Databases,
        store: BlobStore,
        presence: Presence,
        *,
        cell: int,
        reader_grace: timedelta,
    ) -> None:
        """Creates a writer.

        `cell`: the number that the keys of new packs begin with. `reader_grace`: how long the object of a
        pack stays that chunks are moved out of.
        """
        self._databases = databases
        self._store = store
        self._presence = presence
        self._cell = cell
        self._reader_grace = reader_grace

    def for_store(self, store: BlobStore) -> PackWriter:
        """Returns a writer like this one that writes into another store."""
        return PackWriter(
            self._databases,
            store,
            self._presence,
            cell=self._cell,
            reader_grace=self._reader_grace,
        )

    def begin_pack(self, repository_id: UUID) -> Pack:
        """Returns a pack for chunks of a repository; it leaves no trace until something is appended."""
        return self.begin_pack_in(self._databases.of(repository_id))

    def begin_pack_in(self, database: Database) -> Pack:
        """Returns a pack for chunks that a database has already; see `begin_pack`."""
        key = f"{self._cell}/{uuid.uuid4().hex}"
        return Pack(key, database, self._store, self._store.open_writer(key))

    async def append_chunks(self, pack: Pack, chunks: Iterable[Chunk]) -> None:
        """Writes chunks into a pack, each once, after its row has been committed."""
        parts = pack.add_entries(chunks)
        if not parts:
            return
        if not pack.is_announced:
            pack.is_announced = True
            await self._announce_pack(pack)
        await pack.writer.write_parts(parts)

    async def finalize_pack(
        self, pack: Pack, repository_id: UUID, around: Around | None = None
    ) -> StoredChunks:
        """Makes a pack durable and its chunks the repository's. If that fails, abandons it.

        `around` is called in the transaction, with its steps, and returns what they return.
        Raises NOT_FOUND if the repository was deleted, UPLOAD_EXPIRED if the sweep dropped the pack.
        """
        if not pack.is_announced:
            return StoredChunks(0, 0)
        finalization = PackFinalization(
            pack, repository_id, self._store, self._presence, self._reader_grace
        )
        steps = finalization.apply_steps
        stored = await self._finalize(pack, partial(around, steps=steps) if around else steps)
        if finalization.added:
            self._presence.note_added(repository_id, finalization.added, finalization.additions)
        if finalization.copy_seconds is not None:
            await request_copies(pack.database, finalization.copy_seconds)
        return stored

    async def finalize_moves(
        self, pack: Pack, old_keys: Mapping[bytes, str], *, is_cooling: bool = False
    ) -> MovedChunks:
        """Makes a pack durable, and the place of those of its chunks that still lie where they did.

        `old_keys` has the pack that each chunk was copied from. `is_cooling`: what a repository wants
        hotter stays. If that fails, abandons the pack. Raises UPLOAD_EXPIRED if the sweep dropped it.
        """
        if not pack.is_announced:
            return MovedChunks(0, 0, 0)
        move = ChunkMove(pack, self._store, old_keys, self._reader_grace, is_cooling=is_cooling)
        return await self._finalize(pack, move.apply_steps)

    async def finalize_copies(self, pack: Pack) -> PlacedCopies:
        """Makes a pack durable, and its chunks copies in this region, where they are missing.

        If that fails, abandons the pack. Raises UPLOAD_EXPIRED if the sweep dropped it.
        """
        if not pack.is_announced:
            return PlacedCopies()
        placement = CopyPlacement(pack, self._store.region, self._store.bucket)
        return await self._finalize(pack, placement.apply_steps)

    async def _finalize(self, pack: Pack, steps: Work[Result]) -> Result:
        try:
            await pack.writer.seal()
            return await self._commit_pack(pack, steps)
        except BaseException:
            await self.abandon_pack(pack)
            raise

    async def abandon_pack(self, pack: Pack) -> None:
        """Gives a pack up, and leaves to the sweep what cannot be done now."""
        if not pack.is_announced:
            return

        async def work(connection: Connection) -> None:
            await connection.execute(Q.abandon_pack, pack.key)
            await connection.execute(Q.queue_object, self._store.bucket, pack.key)

        try:
            await pack.writer.discard()
            await pack.database.transaction(work)
        except (*UNREACHABLE, asyncpg.PostgresError, DomainError) as error:
            log.warning("pack left to the sweep", pack=pack.key, cause=repr(error))

    async def _announce_pack(self, pack: Pack) -> None:
        store = self._store
        statement = (Q.open_pack, pack.key, store.bucket, store.region, store.expected_id)
        if not await pack.database.statement(*statement):
            raise given_up(store)

    async def _commit_pack(self, pack: Pack, steps: Work[Result]) -> Result:
        """Runs the finalizing transaction; asks again when the answer to a commit got lost."""
        for pause in _COMMIT_PAUSES:
            try:
                return await pack.database.transaction(steps)
            except UNREACHABLE as error:
                log.warning("finalize cut off", pack=pack.key, cause=repr(error))
                await asyncio.sleep(pause)
        return await pack.database.transaction(steps)
