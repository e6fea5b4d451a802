"""Purging deleted repositories: all that is in them goes, in transactions that are short.

A purge first says that it has begun, and from then on the repository cannot be brought back. Nobody adds to
a deleted repository, so each transaction takes the next rows of one table, in the order of their keys. One
that was broken off goes on from the beginning, and finds what is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from uuid import UUID

from services.repo.repositories.messages import UNDELETE_TIME
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.records.audit import AuditAction, audit

Q = sql.load(__file__)

# Rows of one transaction: those of other repositories may wait for it.
BATCH = 1_000

# What is deleted after the references to chunks: heads before commits, commits before trees.
_TABLES = (
    Q.delete_branches,
    Q.delete_tags,
    Q.delete_former_heads,
    Q.delete_commits,
    Q.delete_assets,
    Q.delete_deliveries,
    Q.delete_locks,
)


async def find_due_repositories(database: Database, count: int) -> list[UUID]:
    """Returns deleted repositories whose time is over, those first that no purge has begun with."""
    rows = await database.fetch(Q.find_due, UNDELETE_TIME, count)
    return [row["id"] for row in rows]


async def purge_repository(
    database: Database, repository_id: UUID, grace: timedelta
) -> AsyncGenerator[int, None]:
    """Purges a repository whose time is over, and yields how many rows each transaction deleted.

    It rests for as long as it works. `grace`: how long chunks stay that no other repository holds. Does
    nothing if the repository was brought back.
    """
    if not await database.transaction(partial(_begin, repository_id=repository_id)):
        return
    steps = [
        _repeat_statement(database, Q.release_chunks, repository_id, grace),
        *(_repeat_statement(database, query, repository_id) for query in _TABLES),
        _delete_manifests(database, repository_id),
    ]
    for step in steps:
        async with aclosing(step) as counts:
            async for count in counts:
                yield count
    await database.transaction(partial(_end, repository_id=repository_id))
    yield 1


async def _begin(connection: Connection, repository_id: UUID) -> bool:
    """Says that the purge has begun, once uploads and pushes have ended; returns whether it may."""
    await connection.execute(Q.lock_repository, repository_id)
    began = await connection.fetchval(Q.begin_purge, repository_id, UNDELETE_TIME)
    return began is not None


async def _repeat_statement(
    database: Database, query: str, repository_id: UUID, *arguments: object
) -> AsyncGenerator[int, None]:
    """Takes the rows of a table key by key, and yields the count of each statement."""
    last: str | None = ""
    while last is not None:
        started = time.monotonic()
        [row] = await database.statement(query, repository_id, last, BATCH, *arguments)
        last = row["last"]
        yield row["count"]
        await asyncio.sleep(time.monotonic() - started)


async def _delete_manifests(database: Database, repository_id: UUID) -> AsyncGenerator[int, None]:
    """Deletes manifests: those first to which none is stored as a delta."""
    while await database.fetchrow(Q.find_manifest, repository_id) is not None:
        async with aclosing(
            _repeat_statement(database, Q.delete_manifests, repository_id)
        ) as counts:
            async for count in counts:
                yield count


async def _end(connection: Connection, repository_id: UUID) -> None:
    """Deletes the repository itself."""
    row = await connection.fetchrow(Q.get_purged, repository_id)
    if row is None:
        return
    await audit(
        connection, None, AuditAction.REPOSITORY_PURGED, "repository", repository_id, row["name"],
        repository_id=repository_id,
    )  # fmt: skip
    await connection.execute(Q.delete_repository, repository_id)
