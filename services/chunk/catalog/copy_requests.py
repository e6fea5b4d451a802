"""Asks for the jobs that make copies in other regions, and heal packs from them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg
import structlog
from dits.common.v1.job_pb2 import RepairPackPayload, ReplicateChunksPayload

from shared.db.pool import UNREACHABLE, Connection, Database, Databases
from shared.errors import DomainError
from shared.jobs.queue import enqueue

log = structlog.get_logger(__name__)

# Packs whose repair a process remembers to have asked for.
_REMEMBERED = 10_000


async def request_copies(database: Database, seconds: float) -> None:
    """Asks for copies that are due in so many seconds. If that fails, the next scheduled job makes them."""

    async def request(connection: Connection) -> None:
        await enqueue(
            connection,
            ReplicateChunksPayload(),
            delay=timedelta(seconds=seconds),
            dedup_key="replicate",
        )

    try:
        await database.transaction(request)
    except (*UNREACHABLE, asyncpg.PostgresError, DomainError) as error:
        log.warning("copies are left to the schedule", cause=repr(error))


async def request_repair(database: Database, pack_key: str) -> None:
    """Has a pack verified and healed. If that cannot be asked, the scrub finds it in its turn."""

    async def request(connection: Connection) -> None:
        await enqueue(connection, RepairPackPayload(pack_key=pack_key), dedup_key=pack_key)

    try:
        await database.transaction(request)
    except (*UNREACHABLE, asyncpg.PostgresError, DomainError) as error:
        log.warning("a repair is left to the scrub", pack=pack_key, cause=repr(error))


class RepairRequests:
    """Asks for the repair of packs in which readers have found damage, of each once."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._asked: set[str] = set()

    async def request_repair(self, repository_id: UUID, pack_key: str) -> None:
        """Has a pack verified and healed."""
        if pack_key in self._asked:
            return
        if len(self._asked) >= _REMEMBERED:
            self._asked.clear()
        self._asked.add(pack_key)
        await request_repair(self._databases.of(repository_id), pack_key)
