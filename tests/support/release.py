"""The release of unreachable history, for tests: one repository, whose times are over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from uuid import UUID

from services.chunk.collection.consistency import check_references
from services.repo.history.consistency import check_history
from services.repo.release.history import release_history
from shared.db.pool import Database
from tests.support.api import Api

AGE = timedelta(days=30)


@asynccontextmanager
async def connected(api: Api) -> AsyncIterator[Database]:
    """A pool of the test's own."""
    database = await Database.connect(api.dsn, service="test", size=3)
    try:
        yield database
    finally:
        await database.close()


async def pass_time(api: Api, repository_id: str, time: timedelta = AGE) -> None:
    """Makes the refs of a repository have left their commits longer ago."""
    await api.fetch(
        "UPDATE former_heads SET left_at = left_at - $2::interval WHERE repo_id = $1::uuid",
        repository_id,
        time,
    )


async def release(api: Api, repository_id: str, age: timedelta = AGE) -> int:
    """Releases what is due in a repository; returns how many rows went."""
    async with (
        connected(api) as database,
        aclosing(release_history(database, UUID(repository_id), age)) as counts,
    ):
        return sum([count async for count in counts])


async def release_now(api: Api, repository_id: str) -> int:
    """Releases what no ref of a repository reaches, whenever they left it."""
    await pass_time(api, repository_id)
    return await release(api, repository_id)


async def count_rows(api: Api, repository_id: str) -> dict[str, int]:
    """How many rows of history a repository has, by table."""
    tables = ("commits", "manifests", "assets", "former_heads", "released_histories")
    counts = {}
    for table in tables:
        query = f"SELECT count(*) FROM {table} WHERE repo_id = $1::uuid"
        counts[table] = await api.value(query, repository_id)
    return counts


async def assert_whole(api: Api, repository_id: str) -> None:
    """Nothing that is named is missing in a repository, and its contents and chunks are counted right."""
    number = UUID(repository_id)
    async with (
        connected(api) as database,
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        report = await check_history(connection, number, _read_nothing)
        references = check_references(connection, number, report.chunks)
        assert [*report.faults, *[fault async for fault in references]] == []
        lost = await connection.fetch(_LOST, number)
        assert [row["hash"] for row in lost] == []


# Commits that nothing names, and that nobody will look at.
_LOST = """
    SELECT c.hash FROM commits c
    WHERE c.repo_id = $1
      AND NOT EXISTS (SELECT FROM commits k WHERE k.repo_id = $1 AND k.parent_hashes @> ARRAY[c.hash])
      AND NOT EXISTS (SELECT FROM branches WHERE repo_id = $1 AND head_commit = c.hash)
      AND NOT EXISTS (SELECT FROM tags WHERE repo_id = $1 AND commit_hash = c.hash)
      AND NOT EXISTS (SELECT FROM former_heads WHERE repo_id = $1 AND commit_hash = c.hash)
"""


async def _read_nothing(recipes: Sequence[bytes]) -> Mapping[bytes, bytes]:
    assert not recipes, "large files are not for these tests"
    return {}
