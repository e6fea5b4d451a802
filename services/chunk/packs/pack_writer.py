"""Packs: many chunks in one immutable object, announced, written, finalized or abandoned."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog

from services.chunk.catalog.presence import Presence, joined
from services.chunk.packs.content import Chunk
from services.chunk.stores.local_store import BlobStore, BlobWriter
from shared.db import sql
from shared.db.pool import UNREACHABLE, Connection, Database
from shared.errors import DomainError, not_found, upload_expired
from shared.rpc.validation import MAX_HASHES

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# A pack is finalized in one transaction, and more should not be touched in one.
MAX_CHUNKS = MAX_HASHES
# Between the attempts of a commit that was cut off, in seconds: as long as a restart takes.
_COMMIT_PAUSES = (0.1, 0.5, 2.0, 5.0)


class Place(NamedTuple):
    """Where a chunk lies in its pack, and as what; all in bytes."""

    size: int
    compression: str
    offset: int
    length: int


class Stored(NamedTuple):
    """What nobody had stored before: chunks, and their stored bytes."""

    chunks: int
    bytes: int


@dataclass(slots=True)
class Pack:
    """A pack that is being written, by one task at a time."""

    key: str
    writer: BlobWriter
    announced: bool = False
    length: int = 0
    places: dict[bytes, Place] = field(default_factory=dict)

    def place(self, chunks: Iterable[Chunk]) -> list[bytes | memoryview]:
        """Gives every chunk that is not in the pack yet its place; returns the bytes to append."""
        parts: list[bytes | memoryview] = []
        for digest, size, compression, data in chunks:
            if digest not in self.places:
                self.places[digest] = Place(size, compression, self.length, len(data))
                self.length += len(data)
                parts.append(data)
        return parts


class Packs:
    """Makes the packs of one store."""

    def __init__(self, database: Database, store: BlobStore, presence: Presence) -> None:
        self._database = database
        self._store = store
        self._presence = presence

    def begin(self) -> Pack:
        """A pack that leaves no trace until something is appended."""
        key = uuid.uuid4().hex
        return Pack(key, self._store.writer(key))

    async def append(self, pack: Pack, chunks: Iterable[Chunk]) -> None:
        """Writes chunks into a pack, each once, after its row has been committed."""
        parts = pack.place(chunks)
        if not parts:
            return
        if not pack.announced:
            pack.announced = True
            await self._announce(pack.key)
        await pack.writer.write(parts)

    async def finalize(self, pack: Pack, repository: UUID) -> Stored:
        """Makes a pack durable and its chunks the repository's. If that fails, abandons it.

        Raises NOT_FOUND if the repository was deleted, UPLOAD_EXPIRED if the sweeper took the pack.
        """
        try:
            if not pack.announced:
                return Stored(0, 0)
            await pack.writer.seal()
            return await self._commit(pack, repository)
        except BaseException:
            await self.abandon(pack)
            raise

    async def abandon(self, pack: Pack) -> None:
        """Gives a pack up. What cannot be done now is left to the sweeper."""
        if not pack.announced:
            return

        async def work(connection: Connection) -> None:
            await connection.execute(Q.abandon_pack, pack.key)
            await connection.execute(Q.queue_object, self._store.bucket, pack.key)

        try:
            await pack.writer.discard()
            await self._database.transaction(work)
        except (*UNREACHABLE, asyncpg.PostgresError, DomainError) as error:
            log.warning("pack left to the sweeper", pack=pack.key, cause=repr(error))

    async def _announce(self, key: str) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(Q.open_pack, key, self._store.bucket, self._store.region)

        await self._database.transaction(work)

    async def _commit(self, pack: Pack, repository: UUID) -> Stored:
        """Runs the finalizing transaction; asks again when the answer to a commit got lost."""
        finalize = _Finalize(pack, self._store.bucket, repository, self._presence)
        for pause in _COMMIT_PAUSES:
            try:
                return await self._database.transaction(finalize.run)
            except UNREACHABLE as error:
                if isinstance(error, asyncpg.DataError):
                    raise
                log.warning("finalize cut off", pack=pack.key, cause=repr(error))
                await asyncio.sleep(pause)
        return await self._database.transaction(finalize.run)


class _Finalize:
    """The finalizing transaction of one pack."""

    def __init__(self, pack: Pack, bucket: str, repository: UUID, presence: Presence) -> None:
        self._pack = pack
        self._bucket = bucket
        self._repository = repository
        self._presence = presence
        self._hashes = joined(pack.places)
        columns = zip(*pack.places.values(), strict=True)
        self._columns = [",".join(map(str, column)) for column in columns]
        self._stored = Stored(0, 0)

    async def run(self, connection: Connection) -> Stored:
        """Steps U1 to U7; can be repeated, and finds out if it had succeeded before."""
        key = self._pack.key
        if await connection.fetchrow(Q.hold_repository, self._repository) is None:
            raise not_found("repository", str(self._repository))
        state = await connection.fetchval(Q.hold_pack, key)
        if state == "sealed":
            return self._stored
        if state is None:
            raise upload_expired()
        self._stored = await self._count(connection)
        if self._stored.chunks:
            await connection.execute(Q.seal_pack, key, self._stored.chunks, self._pack.length)
        else:
            await connection.execute(Q.drop_unneeded_pack, key)
        return self._stored

    async def _count(self, connection: Connection) -> Stored:
        """Steps U3 to U6."""
        hashes, bytes_ = await connection.fetchrow(
            Q.insert_chunks, self._pack.key, self._bucket, self._hashes, *self._columns
        ) or ([], 0)
        new = await connection.fetchval(Q.insert_references, self._repository, self._hashes)
        total = len(self._pack.places)
        if len(hashes) < total and (others := set(new) - set(hashes)):
            await connection.execute(Q.count_references, ",".join(others))
        if len(new) < total:
            await self._presence.refresh(connection, self._repository, self._hashes)
        return Stored(len(hashes), bytes_)
