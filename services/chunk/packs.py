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

from services.chunk.content import Chunk
from services.chunk.presence import Presence
from services.chunk.store import BlobStore, BlobWriter
from shared import sql
from shared.db import UNREACHABLE, Connection, Database
from shared.errors import DomainError, Reason, not_found
from shared.validation import MAX_HASHES

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

    def place(self, chunks: Iterable[Chunk]) -> list[bytes]:
        """Gives every chunk that is not in the pack yet its place; returns the bytes to append."""
        parts = []
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
        text = b"".join(pack.places).hex()
        self._hashes = [text[i : i + 64] for i in range(0, len(text), 64)]
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
            raise DomainError(
                Reason.ERROR_REASON_UPLOAD_EXPIRED,
                "the server gave up the pack: send again what was not acknowledged",
            )
        mine = await self._insert_chunks(connection)
        new = await self._hashes_of(connection, Q.insert_references, self._repository, self._hashes)
        if others := list(new - mine):
            await connection.execute(Q.count_references, others)
        if len(new) < len(self._hashes):
            await self._presence.refresh(connection, self._repository, self._hashes)
        self._stored = self._sum(mine)
        if mine:
            await connection.execute(Q.seal_pack, key, len(mine), self._pack.length)
        else:
            await connection.execute(Q.drop_unneeded_pack, key)
        return self._stored

    async def _insert_chunks(self, connection: Connection) -> set[str]:
        """U3; the hashes that were new."""
        sizes, compressions, offsets, lengths = zip(*self._pack.places.values(), strict=True)
        return await self._hashes_of(
            connection, Q.insert_chunks, self._pack.key, self._bucket, self._hashes,
            sizes, compressions, offsets, lengths,
        )  # fmt: skip

    @staticmethod
    async def _hashes_of(connection: Connection, query: str, *arguments: object) -> set[str]:
        return {row[0] for row in await connection.fetch(query, *arguments)}

    def _sum(self, mine: set[str]) -> Stored:
        places = self._pack.places.values()
        lengths = [
            place.length for hash_, place in zip(self._hashes, places, strict=True) if hash_ in mine
        ]
        return Stored(len(lengths), sum(lengths))
