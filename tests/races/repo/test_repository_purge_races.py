"""A purge and those who use the same chunks, or the same repository, in both orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from grpc import StatusCode

from services.repo.repositories.purging import purge_repository
from shared.db.pool import Database
from tests.integration.schema.rows import Connection
from tests.support.api import Api, refused
from tests.support.counters import assert_counters
from tests.support.repositories import Holding, make_due
from tests.support.trees import build, commit, push_commit, save, upload
from tests.support.waiting import until_blocked

FILES: dict[str, bytes | str] = {"a": b"a" * 3000, "b": b"b" * 3000}
RELEASE = "SELECT released FROM release_repository_chunks($1::uuid, '', 1000, '1 day')"
GRACE = timedelta(days=1)


@asynccontextmanager
async def begun(api: Api) -> AsyncIterator[Connection]:
    """A transaction that the test ends."""
    connection = await asyncpg.connect(api.dsn)
    try:
        await connection.execute("BEGIN")
        yield connection
    finally:
        await connection.close()


async def wait_blocked(api: Api) -> None:
    observer = await asyncpg.connect(api.dsn)
    try:
        await until_blocked(observer)
    finally:
        await observer.close()


async def deleted(api: Api) -> Holding:
    """A repository with the files, whose time is over."""
    films = await Holding.open(api)
    await save(api, films.owner, films.repository, FILES)
    await films.delete()
    await make_due(api, films)
    return films


async def purge(database: Database, films: Holding) -> int:
    async with aclosing(purge_repository(database, UUID(films.id), GRACE)) as counts:
        return sum([count async for count in counts])


async def test_an_upload_that_waits_for_the_release_counts_its_chunks(api: Api) -> None:
    gone, other = await deleted(api), await Holding.open(api)
    async with begun(api) as connection:
        assert await connection.fetchval(RELEASE, gone.id) == 2
        waiting = asyncio.ensure_future(
            upload(api, other.owner, other.repository, build(FILES).chunks)
        )
        await wait_blocked(api)
        await connection.execute("COMMIT")
        await waiting
    assert await api.value("SELECT array_agg(ref_count) FROM chunks") == [1, 1]
    await save(api, other.owner, other.repository, FILES)


async def test_a_release_that_waits_for_an_upload_leaves_its_chunks(api: Api) -> None:
    gone, other = await deleted(api), await Holding.open(api)
    async with begun(api) as connection:
        # As an upload of chunks that are there does it.
        await connection.execute("SELECT FROM chunks ORDER BY hash FOR NO KEY UPDATE")
        await connection.execute(
            """INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size)
               SELECT $1::uuid, hash, size FROM chunks""",
            other.id,
        )
        await connection.execute("UPDATE chunks SET ref_count = ref_count + 1, delete_after = NULL")
        waiting = asyncio.ensure_future(api.value(RELEASE, gone.id))
        await wait_blocked(api)
        await connection.execute("COMMIT")
        assert await waiting == 2
    assert await api.value("SELECT array_agg(ref_count) FROM chunks") == [1, 1]
    assert await api.value("SELECT count(delete_after) FROM chunks") == 0


async def test_a_push_elsewhere_does_not_wait_for_a_release(api: Api, database: Database) -> None:
    gone, other = await deleted(api), await Holding.open(api)
    await upload(api, other.owner, other.repository, build(FILES).chunks)
    async with begun(api) as connection:
        await connection.fetchval(RELEASE, gone.id)
        await save_uploaded(api, other)
        await connection.execute("COMMIT")
    await purge(database, gone)
    await assert_counters(api.dsn)


async def save_uploaded(api: Api, films: Holding) -> None:
    """Pushes the files, whose chunks are there."""
    tree = build(FILES)
    await push_commit(api, films.owner, films.repository, commit(tree), tree)


async def test_a_sweep_that_was_faster_is_not_counted_again(api: Api) -> None:
    films = await Holding.open(api)
    await upload(api, films.owner, films.repository, build(FILES).chunks)
    await films.delete()
    async with begun(api) as connection:
        await connection.execute("SELECT FROM chunks ORDER BY hash FOR NO KEY UPDATE")
        await connection.execute("DELETE FROM chunk_refs")
        await connection.execute("UPDATE chunks SET ref_count = 0, delete_after = now()")
        waiting = asyncio.ensure_future(api.value(RELEASE, films.id))
        await wait_blocked(api)
        await connection.execute("COMMIT")
        assert await waiting == 0
    await assert_counters(api.dsn)


async def test_only_a_deleted_repository_releases_its_chunks(api: Api) -> None:
    films = await Holding.open(api)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await api.value(RELEASE, films.id)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await api.value("SELECT purge_locks($1::uuid, 10)", films.id)


async def test_a_purge_begins_when_pushes_have_ended(api: Api, database: Database) -> None:
    films = await deleted(api)
    async with begun(api) as connection:
        await connection.execute(
            "SELECT FROM repositories WHERE id = $1::uuid FOR KEY SHARE", films.id
        )
        waiting = asyncio.ensure_future(purge(database, films))
        await wait_blocked(api)
        assert await api.value("SELECT count(*) FROM chunk_refs") == 2
        await connection.execute("COMMIT")
        assert await waiting > 2
    await assert_counters(api.dsn)


async def test_what_is_being_brought_back_is_not_purged(api: Api, database: Database) -> None:
    films = await deleted(api)
    async with begun(api) as connection:
        await connection.execute(
            "SELECT FROM repositories WHERE id = $1::uuid FOR UPDATE", films.id
        )
        await connection.execute(
            "UPDATE repositories SET deleted_at = NULL WHERE id = $1::uuid", films.id
        )
        waiting = asyncio.ensure_future(purge(database, films))
        await wait_blocked(api)
        await connection.execute("COMMIT")
        assert await waiting == 0
    await films.get()


async def test_what_is_being_purged_is_not_brought_back(api: Api) -> None:
    films = await deleted(api)
    await make_due(api, films, timedelta(days=29))
    async with begun(api) as connection:
        await connection.execute(
            "SELECT FROM repositories WHERE id = $1::uuid FOR UPDATE", films.id
        )
        await connection.execute(
            "UPDATE repositories SET purge_started_at = now() WHERE id = $1::uuid", films.id
        )
        waiting = asyncio.ensure_future(films.undelete())
        await wait_blocked(api)
        await connection.execute("COMMIT")
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await waiting
