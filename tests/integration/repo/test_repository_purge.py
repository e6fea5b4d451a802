"""A deleted repository whose time is over is purged: nothing of it stays, and nothing of others goes."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from dits.common.v1.job_pb2 import PurgeRepositoriesPayload
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest
from grpc import StatusCode

from services.repo.background.repository_purge import RepositoryPurge
from services.repo.repositories import purging
from services.repo.repositories.purging import purge_repository
from shared.db.pool import Database
from tests.support.api import Api, refused
from tests.support.branches import read_head
from tests.support.counters import assert_counters
from tests.support.jobs import do_job
from tests.support.repositories import Holding, make_due
from tests.support.trees import save

GRACE = timedelta(days=3)
SHARED, OWN = b"s" * 4000, b"o" * 4000
# Rows that say whose they are; the audit log, events and usage stay.
OWNED = """
    SELECT c.table_name FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND c.column_name = 'repo_id' AND t.table_type = 'BASE TABLE'
      AND c.table_name NOT IN ('events', 'jobs', 'dead_events', 'notifications')
      AND c.table_name NOT LIKE 'audit_log%'
"""


async def fill(api: Api, name: str) -> Holding:
    """A repository whose large directory is stored as deltas, with tags, locks and grants."""
    films = await Holding.open(api, name)
    many = {f"{name}/{n:04}-{'x' * 60}": SHARED for n in range(900)}
    head = ""
    for version in (b"1", b"2", b"3"):
        files: dict[str, bytes | str] = {**many, f"{name}/new": version, "own": OWN + name.encode()}
        head = await save(api, films.owner, films.repository, files, parent=head)
    request = AcquireLocksRequest(repository=films.id, paths=["own"], reason="mine")
    await api.locks.AcquireLocks(request, metadata=films.owner.auth)
    await api.fetch(
        "INSERT INTO tags (repo_id, name, commit_hash) VALUES ($1::uuid, 'v1', $2)", films.id, head
    )
    await api.grant(films.repository, await api.account(), "read")
    await films.update(name=f"{name}-2")
    return films


async def left_of(api: Api, films: Holding) -> dict[str, int]:
    """How many rows each table has of a repository, those without any left out."""
    connection = await asyncpg.connect(api.dsn)
    try:
        tables = [row[0] for row in await connection.fetch(OWNED)]
        counts = {
            table: await connection.fetchval(
                f"SELECT count(*) FROM {table} WHERE repo_id = $1::uuid", films.id
            )
            for table in tables
        }
    finally:
        await connection.close()
    assert len(counts) > 10
    return {table: count for table, count in counts.items() if count}


async def test_nothing_stays_of_a_purged_repository(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "BATCH", 2)
    gone, stays = await fill(api, "gone"), await fill(api, "stays")
    assert await api.value("SELECT max(delta_depth) FROM manifests") > 0
    await gone.delete()
    await make_due(api, gone)
    purge = RepositoryPurge(GRACE)
    job = await do_job(database, PurgeRepositoriesPayload(), purge.handle)
    assert '"done"' in job["result"]
    assert await left_of(api, gone) == {}
    assert await api.value("SELECT count(*) FROM repositories") == 1
    assert (await left_of(api, stays))["chunk_refs"] > 1
    await assert_counters(api.dsn)
    rows = await api.fetch("SELECT delete_after - now() AS left FROM chunks WHERE ref_count = 0")
    # Three versions of `new` are the same chunks in both.
    assert [GRACE - timedelta(minutes=1) < row["left"] <= GRACE for row in rows] == [True]
    assert await read_head(api, stays.owner, stays.repository)
    assert (await gone.audited())[-2:] == ["repository.deleted", "repository.purged"]
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await gone.undelete()
    # There is nothing left to do.
    await do_job(database, PurgeRepositoriesPayload(), purge.handle)


async def test_a_purge_that_was_broken_off_goes_on(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "BATCH", 2)
    films = await fill(api, "films")
    await films.delete()
    await make_due(api, films)
    for steps in (1, 3, 5, 7, 9):
        async with aclosing(purge_repository(database, UUID(films.id), GRACE)) as counts:
            for _ in range(steps):
                await anext(counts)
    async with aclosing(purge_repository(database, UUID(films.id), GRACE)) as counts:
        async for _ in counts:
            pass
    assert await left_of(api, films) == {}
    await assert_counters(api.dsn)


async def test_only_those_are_purged_whose_time_is_over(api: Api, database: Database) -> None:
    deleted, back, there = [await Holding.open(api) for _ in range(3)]
    for films in (deleted, back):
        await films.delete()
    await make_due(api, back, timedelta(days=29))
    await back.undelete()
    purge = RepositoryPurge(GRACE)
    await do_job(database, PurgeRepositoriesPayload(), purge.handle)
    for films in (back, there, deleted):
        async with aclosing(purge_repository(database, UUID(films.id), GRACE)) as counts:
            assert [count async for count in counts] == []
    assert await api.value("SELECT count(*) FROM repositories") == 3
