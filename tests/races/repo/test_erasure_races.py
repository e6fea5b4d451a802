"""The chunks of an obliterated large file go batch by batch, whatever else happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from grpc import StatusCode

from services.chunk.collection import released_lists
from services.repo.repositories.purging import purge_repository
from services.repo.trees import lifts
from shared.formats.commits import commit_hash
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.counters import assert_counters
from tests.support.erasures import BATCH, FILES, PARTS, STEPS, Erasure, take
from tests.support.jobs import wait_for
from tests.support.obliterations import (
    LARGE,
    WHY,
    get_asset,
    has_chunk,
    lift,
    list_obliterated,
    name,
    obliterate,
    stream_reasons,
    wait_for_erasure,
)
from tests.support.release import connected, release_now
from tests.support.repositories import Holding, make_due
from tests.support.rivals import together
from tests.support.trees import CHUNK, build, commit, push, save, update
from tests.support.waiting import until_blocked


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(released_lists, "BATCH", BATCH)
    monkeypatch.setattr(lifts, "BATCH", BATCH)


async def test_it_is_gone_at_once_and_its_chunks_go_in_batches(
    api: Api, settings: Settings
) -> None:
    async with Erasure.open(api, settings) as erasure:
        films, tree = erasure.films, build(FILES)
        again = commit(tree)
        moves = [update("again", "", commit_hash(again))]
        for step in range(STEPS):
            assert await erasure.count_chunks() == 12 - BATCH * step
            with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED"):
                await get_asset(films, LARGE)
            assert await stream_reasons(films, erasure.head) == {name(LARGE): WHY}
            with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED"):
                await push(api, films.owner, films.repository, [again], moves, [tree])
            [shown] = await list_obliterated(films)
            assert shown.is_pending
            await erasure.assert_right()
            # Each run ends after a batch, and the next one goes on.
            async with aclosing(erasure.work()) as steps:
                assert await anext(steps) == (BATCH if step < STEPS - 1 else 1)
        assert not (await list_obliterated(films))[0].is_pending
        assert (await erasure.finish(), await erasure.count_lists()) == (0, 0)
        # It was erased: no claims are left.
        assert await api.value("SELECT count(*) FROM chunk_refs") == 1
        assert await api.value("SELECT count(*) FROM chunk_erasures") == 13
        await erasure.assert_right()


async def test_two_jobs_release_nothing_twice(api: Api, settings: Settings) -> None:
    async with (
        Erasure.open(api, settings) as erasure,
        aclosing(erasure.work()) as slow,
        aclosing(erasure.work()) as quick,
    ):
        await take(slow, 1)
        await take(quick, 1)
        assert [count async for count in slow] == []
        await erasure.assert_right()
        assert [count async for count in quick] == [1]
        await erasure.assert_right()


@pytest.mark.parametrize("is_kept", [True, False])
async def test_it_is_lifted_meanwhile(api: Api, settings: Settings, is_kept: bool) -> None:
    """Each time after another step; then it is obliterated anew, or that is lifted, too."""
    async with Erasure.open(api, settings) as erasure:
        for steps in (0, 1, STEPS):
            async with aclosing(erasure.work()) as job:
                await take(job, steps)
                if steps:
                    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING"):
                        await erasure.lift()
                    await erasure.upload()
                await erasure.lift()
                await erasure.obliterate()
                if is_kept:
                    await erasure.lift()
                await erasure.assert_right()
                async for _ in job:
                    await assert_counters(api.dsn)
            await erasure.finish()
            assert await erasure.count_chunks() == (12 if is_kept else 0)
            assert await erasure.count_lists() == 0
            await erasure.assert_right()
            await erasure.restore()


async def test_it_is_repeated_meanwhile(api: Api, settings: Settings) -> None:
    async with Erasure.open(api, settings) as erasure, aclosing(erasure.work()) as job:
        for left in range(STEPS, 0, -1):
            await erasure.obliterate()
            assert (await erasure.count_lists(), left) == (1, left)
            await take(job, 1)
        await erasure.obliterate()
        assert await erasure.count_lists() == 0
        await erasure.assert_right()


async def test_the_repository_is_deleted_meanwhile(api: Api, settings: Settings) -> None:
    async with Erasure.open(api, settings) as erasure:
        films = erasure.films
        for steps in (0, 1):
            async with aclosing(erasure.work()) as job:
                await take(job, steps)
                await films.delete()
                assert [count async for count in job] == []
            assert await erasure.finish() == 0
            await films.undelete()
            assert await erasure.count_chunks() == 12 - BATCH * steps
            await erasure.assert_right()
            await erasure.restore()


async def test_the_repository_is_purged_meanwhile(api: Api, settings: Settings) -> None:
    async with Erasure.open(api, settings) as erasure, aclosing(erasure.work()) as job:
        films = erasure.films
        await take(job, 1)
        await films.delete()
        await make_due(api, films)
        async with aclosing(
            purge_repository(erasure.database, UUID(films.id), timedelta(0))
        ) as purge:
            await anext(purge)
            assert [count async for count in job] == []
            async for _ in purge:
                assert await erasure.finish() == 0
        assert await api.value("SELECT count(*) FROM chunk_refs") == 0
        assert await erasure.count_lists() == 0
        await erasure.assert_right()


async def test_its_last_version_is_released_and_it_comes_back_meanwhile(
    api: Api, settings: Settings
) -> None:
    async with Erasure.open(api, settings) as erasure:
        films = erasure.films
        for steps in (0, 1):
            async with aclosing(erasure.work()) as job:
                await take(job, steps)
                await Branches(api, films.repository, films.owner).delete("look", erasure.head)
                await release_now(api, films.id)
                await erasure.assert_right()
                await lift(films, "", LARGE)
                await erasure.upload()
                erasure.head = await save(api, films.owner, films.repository, FILES, branch="look")
                async for _ in job:
                    await erasure.assert_right()
            assert (await erasure.count_chunks(), await erasure.count_lists()) == (12, 0)
            await erasure.obliterate()


@pytest.mark.parametrize("call", ["lift", "delete", "obliterate"])
async def test_calls_wait_for_a_batch(api: Api, settings: Settings, call: str) -> None:
    async with Erasure.open(api, settings) as erasure, aclosing(erasure.work()) as job:
        await take(job, 1)
        await erasure.upload()
        connection, observer = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
        try:
            async with connection.transaction():
                sixth = sorted(PARTS)[BATCH + 1]
                await connection.execute("SELECT FROM chunks WHERE hash = $1 FOR UPDATE", sixth)
                batch = asyncio.ensure_future(anext(job))
                await until_blocked(observer)
                calls: dict[str, Callable[[], Awaitable[object]]] = {
                    "lift": erasure.lift,
                    "delete": erasure.films.delete,
                    "obliterate": erasure.obliterate,
                }
                waiting = asyncio.ensure_future(calls[call]())
                await until_blocked(observer, 2)
        finally:
            await connection.close()
            await observer.close()
        done, reasons = await together(batch, waiting)
        # What the batch took was not uploaded since.
        assert (done, reasons) == ((1, ["CHUNKS_MISSING"]) if call == "lift" else (2, []))
        await erasure.assert_right()


async def test_what_is_obliterated_while_a_job_waits_is_done_by_it(
    api: Api, settings: Settings
) -> None:
    async with Erasure.open(api, settings) as erasure:
        await erasure.restore()
        assert await api.value("SELECT count(*) FROM jobs WHERE job_type = 'erase_chunks'") == 1


async def test_the_job_does_it(api: Api) -> None:
    films = await Holding.open(api)
    await save(api, films.owner, films.repository, FILES)
    job_id = (await obliterate(films, "large", LARGE)).job_id
    query = "SELECT id, repo_id, requested_by FROM jobs WHERE job_type = 'erase_chunks'"
    [job] = await api.fetch(query)
    assert [str(each) for each in job] == [job_id, films.id, str(films.owner.id)]
    await wait_for_erasure(films)
    assert (await obliterate(films, "large", LARGE)).job_id == ""
    assert [await has_chunk(films, LARGE[at : at + CHUNK]) for at in PARTS.values()] == [False] * 12
    query = "SELECT chunk_count FROM repository_stats"
    async with connected(api) as database:
        for row in await api.fetch("SELECT id FROM jobs WHERE job_type = 'recount_statistics'"):
            await wait_for(database, row["id"], "completed")
    assert await api.value(query) == 0
    await assert_counters(api.dsn)
