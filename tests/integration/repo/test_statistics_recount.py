"""Statistics are corrected to what the rows say, whatever is pushed meanwhile."""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import UUID

import asyncpg
from dits.common.v1.job_pb2 import RecountStatisticsPayload
from dits.repo.v1.repository_service_pb2 import Repository

from services.repo.background.statistics_recount import (
    correct_statistics,
    find_errors,
    recount_some,
    recount_statistics,
)
from shared.db.pool import Database
from shared.formats.commits import commit_hash
from tests.support.api import Account, Api
from tests.support.jobs import do_job
from tests.support.trees import build, commit, push, update, upload
from tests.support.waiting import until_blocked

COUNTED = """
    SELECT repo_id, commit_count, branch_count, tag_count, contributor_count, file_count, chunk_count,
           storage_bytes, logical_bytes, dedup_ratio
    FROM repository_stats ORDER BY repo_id
"""
SPOIL = """
    UPDATE repository_stats SET commit_count = 77, branch_count = 0, tag_count = 5, contributor_count = -1,
        file_count = 9, chunk_count = 1, storage_bytes = 3, logical_bytes = 0, dedup_ratio = 8,
        last_activity_at = '2100-01-01Z'
"""


async def pushed(api: Api, who: Account, content: bytes = b"1" * 5000) -> Repository:
    repo = await api.repository(who)
    tree = build({"a": content, "b": content, "c": b"2"})
    await upload(api, who, repo, tree.chunks)
    made = commit(tree)
    await push(api, who, repo, [made], [update("main", "", commit_hash(made))], [tree])
    return repo


async def truth(api: Api) -> list[asyncpg.Record]:
    """What the function says that counts one repository under its lock."""
    await api.fetch("SELECT update_repo_stats(id) FROM repositories")
    return await api.fetch(COUNTED)


async def test_every_column_is_corrected(api: Api, database: Database) -> None:
    who = await api.account()
    for number in range(3):
        await pushed(api, who, bytes([number]) * 5000)
    await api.repository(who)
    expected = await truth(api)
    await api.fetch(SPOIL)
    await api.fetch(
        "DELETE FROM repository_stats WHERE commit_count = 77 AND repo_id = $1",
        expected[0]["repo_id"],
    )
    row = await do_job(database, RecountStatisticsPayload(), recount_statistics)
    assert row["result"] == '{"done": "4"}'
    assert await api.fetch(COUNTED) == expected
    assert await api.value("SELECT max(last_activity_at) < now() FROM repository_stats")


async def test_a_push_that_commits_while_a_recount_counts_is_counted_once(
    api: Api, database: Database
) -> None:
    """The recount sees nothing of it, and corrects after it."""
    who = await api.account()
    repo = await pushed(api, who)
    await api.fetch(SPOIL)
    errors = await database.transaction(partial(find_errors, ids=[UUID(repo.id)]))
    await _count_a_push(api)
    await correct_statistics(database, errors)
    assert await api.fetch(COUNTED) == await truth(api)


async def test_a_push_that_has_counted_and_not_committed_is_counted_once(
    api: Api, database: Database
) -> None:
    """The recount counts without it, and waits for it before it corrects."""
    who = await api.account()
    repo = await pushed(api, who)
    await api.fetch(SPOIL)
    connection = await asyncpg.connect(api.dsn)
    observer = await asyncpg.connect(api.dsn)
    async with connection.transaction():
        await _add_commit(connection)
        recount = asyncio.create_task(recount_some(database, [UUID(repo.id)]))
        await until_blocked(observer)
    await recount
    await connection.close()
    await observer.close()
    assert await api.fetch(COUNTED) == await truth(api)


async def test_two_recounts_correct_once(api: Api, database: Database) -> None:
    who = await api.account()
    repo = await pushed(api, who)
    await api.fetch(SPOIL)
    both = [await database.transaction(partial(find_errors, ids=[UUID(repo.id)])) for _ in range(2)]
    for errors in both:
        await correct_statistics(database, errors)
    assert await api.fetch(COUNTED) == await truth(api)


async def _count_a_push(api: Api) -> None:
    connection = await asyncpg.connect(api.dsn)
    async with connection.transaction():
        await _add_commit(connection)
    await connection.close()


async def _add_commit(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """A commit and its count, as a push writes them."""
    await connection.execute(
        """INSERT INTO commits SELECT (jsonb_populate_record(c, jsonb_build_object(
               'hash', repeat('e', 64)))).* FROM commits c LIMIT 1"""
    )
    await connection.execute("UPDATE repository_stats SET commit_count = commit_count + 1")
