"""Restores: chunks of archive classes become readable for a while, or hot."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID, uuid4

from dits.common.v1.job_pb2 import RestoreChunksPayload

from services.chunk.catalog.tiers import ColdChunks
from services.chunk.stores.tiers import restore_seconds
from shared.db import sql
from shared.db.clock import read_clock
from shared.db.pool import Connection, Databases, Row
from shared.errors import limit_reached, not_found
from shared.jobs.queue import enqueue
from shared.records.ownership import require_unchanged
from shared.rpc.call import Call
from shared.runtime.config import Settings

Q = sql.load(__file__)

# Of a repository, at a time.
MAX_WAITING = 1_000
# What has not ended so long after its time never does: its job is dead.
GIVEN_UP = timedelta(days=7)
RECORDS_KEPT = timedelta(days=30)


class Restore(NamedTuple):
    """A restore, as the table has it; without `id` and `job_id` it is a plan."""

    id: UUID | None
    job_id: UUID | None
    chunk_count: int
    stored_bytes: int
    requested_at: datetime
    expected_at: datetime
    restored_at: datetime | None = None
    restored_until: datetime | None = None


class Restores:
    """The restores of repositories."""

    def __init__(self, databases: Databases, settings: Settings) -> None:
        self._databases = databases
        self._settings = settings

    def measure_delay(self, storage_class: str) -> timedelta:
        """Returns how long it takes to restore what lies in a class."""
        return timedelta(seconds=restore_seconds(self._settings, storage_class))

    async def plan_restore(self, repository_id: UUID, found: ColdChunks) -> Restore:
        """Returns what `begin_restore` would do."""
        now = await read_clock(self._databases.of(repository_id))
        expected = now + self.measure_delay(found.coldest)
        return Restore(None, None, len(found.digests), found.stored_bytes, now, expected)

    async def begin_restore(self, call: Call, found: ColdChunks, *, is_permanent: bool) -> Restore:
        """Begins to restore chunks of a call's repository, by a job. Raises LIMIT_REACHED, CONTENTION."""
        work = partial(self._begin, call=call, found=found, is_permanent=is_permanent)
        return await self._databases.of(call.repository.id).transaction(work)

    async def get_restore(self, repository_id: UUID, restore_id: UUID) -> Restore:
        """Returns a restore of a repository. Raises NOT_FOUND."""
        database = self._databases.of(repository_id)
        row = await database.fetchrow(Q.get_restore, repository_id, restore_id)
        if row is None:
            raise not_found("restore", str(restore_id))
        return _parse(row)

    async def _begin(
        self, connection: Connection, *, call: Call, found: ColdChunks, is_permanent: bool
    ) -> Restore:
        repository_id, user_id = call.repository.id, call.caller.user_id
        await require_unchanged(connection, call)
        await connection.execute(Q.forget_restores, RECORDS_KEPT)
        await connection.execute(Q.hold_restores, str(repository_id))
        if await connection.fetchval(Q.count_waiting, repository_id, GIVEN_UP) >= MAX_WAITING:
            raise limit_reached("restores", MAX_WAITING)
        restore_id = uuid4()
        job_id = await enqueue(
            connection,
            RestoreChunksPayload(restore_id=str(restore_id)),
            repository_id=repository_id,
            requested_by=user_id,
        )
        [row] = await connection.fetch(
            *Q.bind.insert_restore(
                restore_id=restore_id,
                repository_id=repository_id,
                job_id=job_id,
                user_id=user_id,
                hashes=b"".join(sorted(found.digests)),
                is_permanent=is_permanent,
                chunk_count=len(found.digests),
                stored_bytes=found.stored_bytes,
                delay=self.measure_delay(found.coldest),
            )
        )
        return _parse(row)


def _parse(row: Row) -> Restore:
    return Restore(*(row[name] for name in Restore._fields))
