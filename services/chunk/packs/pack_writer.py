"""Writes packs: many chunks in one immutable object, announced, written, finalized or abandoned."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from uuid import UUID

import asyncpg
import structlog

from services.chunk.catalog.presence import Presence
from services.chunk.packs.content import Chunk
from services.chunk.packs.pack import Pack
from services.chunk.packs.pack_finalization import PackFinalization, StoredChunks
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import UNREACHABLE, Connection, Databases
from shared.errors import DomainError

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# Between the attempts of a commit that was cut off, in seconds: as long as a restart takes.
_COMMIT_PAUSES = (0.1, 0.5, 2.0, 5.0)


class PackWriter:
    """Writes the packs of one store."""

    def __init__(
        self, databases: Databases, store: BlobStore, presence: Presence, cell: int
    ) -> None:
        """`cell`: the number that the keys of new packs begin with."""
        self._databases = databases
        self._store = store
        self._presence = presence
        self._cell = cell

    def begin_pack(self, repository_id: UUID) -> Pack:
        """Returns a pack that leaves no trace until something is appended."""
        key = f"{self._cell}/{uuid.uuid4().hex}"
        return Pack(key, repository_id, self._store.open_writer(key))

    async def append_chunks(self, pack: Pack, chunks: Iterable[Chunk]) -> None:
        """Writes chunks into a pack, each once, after its row has been committed."""
        parts = pack.add_entries(chunks)
        if not parts:
            return
        if not pack.is_announced:
            pack.is_announced = True
            await self._announce_pack(pack)
        await pack.writer.write_parts(parts)

    async def finalize_pack(self, pack: Pack) -> StoredChunks:
        """Makes a pack durable and its chunks the repository's. If that fails, abandons it.

        Raises NOT_FOUND if the repository was deleted, UPLOAD_EXPIRED if the sweep dropped the pack.
        """
        try:
            if not pack.is_announced:
                return StoredChunks(0, 0)
            await pack.writer.seal()
            return await self._commit_pack(pack)
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
            await self._databases.of(pack.repository_id).transaction(work)
        except (*UNREACHABLE, asyncpg.PostgresError, DomainError) as error:
            log.warning("pack left to the sweep", pack=pack.key, cause=repr(error))

    async def _announce_pack(self, pack: Pack) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(Q.open_pack, pack.key, self._store.bucket, self._store.region)

        await self._databases.of(pack.repository_id).transaction(work)

    async def _commit_pack(self, pack: Pack) -> StoredChunks:
        """Runs the finalizing transaction; asks again when the answer to a commit got lost."""
        database = self._databases.of(pack.repository_id)
        finalization = PackFinalization(pack, self._store.bucket, self._presence)
        for pause in _COMMIT_PAUSES:
            try:
                return await database.transaction(finalization.apply_steps)
            except UNREACHABLE as error:
                if isinstance(error, asyncpg.DataError):
                    raise
                log.warning("finalize cut off", pack=pack.key, cause=repr(error))
                await asyncio.sleep(pause)
        return await database.transaction(finalization.apply_steps)
