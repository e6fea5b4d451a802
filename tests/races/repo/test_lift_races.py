"""A large file is given back batch by batch, whatever else happens meanwhile, and goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from grpc import StatusCode

from services.chunk.collection import released_lists
from services.repo.repositories.purging import purge_repository
from services.repo.trees import lifts
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.erasures import CHUNKS, FILES, PARTS, Erasure
from tests.support.obliterations import (
    LARGE,
    WHY,
    get_asset,
    lift,
    list_obliterated,
    name,
    stream_reasons,
)
from tests.support.release import release_now
from tests.support.repositories import make_due
from tests.support.rivals import together
from tests.support.trees import save, upload
from tests.support.waiting import until_blocked

BATCH = 5
# The chunks by hash, and the first of each batch.
ORDER = sorted(PARTS)
FIRSTS = ORDER[::BATCH]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifts, "BATCH", BATCH)
    monkeypatch.setattr(released_lists, "BATCH", BATCH)


@pytest.fixture
async def erasure(api: Api, settings: Settings) -> AsyncIterator[Erasure]:
    """A file that is obliterated and erased."""
    async with Erasure.open(api, settings) as erasure:
        await erasure.finish()
        yield erasure


async def break_off(erasure: Erasure, batches: int) -> None:
    """Leaves a lift behind that has taken so many batches, as a kill would."""
    films = erasure.films
    others = {digest: data for digest, data in CHUNKS.items() if digest.hex() != FIRSTS[batches]}
    await upload(films.api, films.owner, films.repository, others)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING") as told:
        await erasure.lift()
    assert told.metadata["count"] == "1"
    query = "SELECT taken_to FROM released_lists"
    assert await films.api.value(query) == (ORDER[batches * BATCH - 1] if batches else "")
    await erasure.assert_right()


async def end_time(erasure: Erasure) -> None:
    """An hour goes by without a lift."""
    await erasure.films.api.fetch("UPDATE released_lists SET lift_ends_at = now()")


async def assert_given_back(erasure: Erasure) -> None:
    films = erasure.films
    assert (await get_asset(films, LARGE)).obliteration_reason == ""
    assert (await list_obliterated(films), await erasure.count_lists()) == ([], 0)
    assert await erasure.finish() == 0
    assert await erasure.count_chunks() == 12
    query = "SELECT min(ref_count) = 1 AND max(ref_count) = 1 FROM chunk_refs"
    assert await films.api.value(query)
    await erasure.assert_right()


@pytest.mark.parametrize("batches", [0, 1, 2])
async def test_it_goes_on_where_it_was(erasure: Erasure, batches: int) -> None:
    await break_off(erasure, batches)
    films = erasure.films
    with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED"):
        await get_asset(films, LARGE)
    assert await stream_reasons(films, erasure.head) == {name(LARGE): WHY}
    with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED"):
        await save(films.api, films.owner, films.repository, FILES, branch="again")
    # It is obliterated already, and what the lift has taken is kept for it.
    await erasure.obliterate()
    assert await erasure.finish() == 0
    await erasure.upload()
    await erasure.lift()
    await assert_given_back(erasure)


async def test_all_that_is_missing_is_told(erasure: Erasure) -> None:
    films, api = erasure.films, erasure.films.api
    some = {digest: data for digest, data in CHUNKS.items() if digest.hex() not in FIRSTS}
    await upload(api, films.owner, films.repository, some)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING") as told:
        await erasure.lift()
    assert told.metadata["count"] == str(len(FIRSTS))


@pytest.mark.parametrize("batches", [0, 1, 2])
async def test_what_was_taken_goes_again(erasure: Erasure, batches: int) -> None:
    await break_off(erasure, batches)
    await end_time(erasure)
    # The recipe, too.
    assert await erasure.finish() == batches * BATCH + 1
    assert await erasure.count_lists() == 0
    assert await erasure.count_chunks() == 12 - batches * BATCH - 1
    await erasure.assert_right()
    await erasure.upload()
    await erasure.lift()
    await assert_given_back(erasure)


async def test_it_begins_again_when_some_was_taken_back(erasure: Erasure) -> None:
    await break_off(erasure, 2)
    await end_time(erasure)
    async with aclosing(erasure.work()) as steps:
        await anext(steps)
        await erasure.assert_right()
        await erasure.upload()
        await erasure.lift()
        async for _ in steps:
            await erasure.assert_right()
    await erasure.finish()
    await assert_given_back(erasure)


async def test_what_is_erased_meanwhile_waits(api: Api, settings: Settings) -> None:
    """A lift comes between two batches of the job: what had not gone is kept."""
    async with Erasure.open(api, settings) as erasure, aclosing(erasure.work()) as job:
        await anext(job)
        await erasure.upload()
        async with lift_at(erasure, ORDER[-1]) as lifting:
            assert [count async for count in job] == []
        await lifting
        await erasure.finish()
        await assert_given_back(erasure)


@asynccontextmanager
async def lift_at(erasure: Erasure, chunk: str) -> AsyncIterator[asyncio.Future[None]]:
    """A lift that has come to a chunk, which is locked meanwhile."""
    dsn = erasure.films.api.dsn
    connection, observer = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM chunk_refs WHERE chunk_hash = $1 FOR UPDATE", chunk
            )
            lifting = asyncio.ensure_future(erasure.lift())
            await until_blocked(observer)
            yield lifting
    finally:
        await connection.close()
        await observer.close()


async def test_two_lifts_are_one(erasure: Erasure) -> None:
    await erasure.upload()
    _, reasons = await together(erasure.lift(), erasure.lift(), erasure.lift())
    assert set(reasons) <= {"CONTENTION"}
    await erasure.lift()
    await assert_given_back(erasure)
    assert (await erasure.films.events()).count("repo.obliteration_lifted") == 1


async def test_pushes_do_not_wait_for_it(erasure: Erasure) -> None:
    films, api = erasure.films, erasure.films.api
    await erasure.upload()
    async with lift_at(erasure, ORDER[BATCH]) as lifting:
        await save(api, films.owner, films.repository, {"beside": b"1"}, branch="beside")
        with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED"):
            await save(api, films.owner, films.repository, FILES, branch="again")
    await lifting
    await save(api, films.owner, films.repository, FILES, branch="again")
    await erasure.assert_right()


@pytest.mark.parametrize("other", ["obliterate", "delete"])
async def test_others_come_between_two_batches(erasure: Erasure, other: str) -> None:
    films = erasure.films
    await erasure.upload()
    async with lift_at(erasure, ORDER[BATCH]) as lifting, films.api.connected() as observer:
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "obliterate": erasure.obliterate,
            "delete": films.delete,
        }
        waiting = asyncio.ensure_future(calls[other]())
        await until_blocked(observer, 2)
    _, reasons = await together(lifting, waiting)
    await erasure.assert_right()
    if other == "delete":
        assert reasons in ([], ["NOT_FOUND"])
        await films.undelete()
        await erasure.lift()
    else:
        assert reasons == []
        # Whichever came last: before the end of the lift it changes nothing.
        await erasure.upload()
        await erasure.lift()
    await erasure.finish()
    await assert_given_back(erasure)


async def test_the_repository_is_purged(erasure: Erasure) -> None:
    films, api = erasure.films, erasure.films.api
    await break_off(erasure, 1)
    await films.delete()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await erasure.lift()
    await make_due(api, films)
    async for _ in purge_repository(erasure.database, UUID(films.id), timedelta(0)):
        assert await erasure.finish() == 0
    assert await api.value("SELECT count(*) FROM chunk_refs") == 0
    await erasure.assert_right()


async def test_its_last_version_is_released_and_it_comes_back(erasure: Erasure) -> None:
    films, api = erasure.films, erasure.films.api
    await break_off(erasure, 1)
    await Branches(api, films.repository, films.owner).delete("look", erasure.head)
    await release_now(api, films.id)
    await erasure.assert_right()
    await lift(films, "", LARGE)
    await erasure.upload()
    await save(api, films.owner, films.repository, FILES, branch="look")
    await end_time(erasure)
    await erasure.finish()
    await assert_given_back(erasure)
