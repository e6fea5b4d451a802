"""EventService.Watch over time: cursors, restarts, late commits, rights that end, callers that are slow."""

from __future__ import annotations

import asyncio

import pytest
from dits.repo.v1.repository_service_pb2 import Visibility
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from shared.db.pool import Database
from shared.jobs.retention import purge_events
from shared.outbox import event_stream
from shared.outbox.cursors import CursorSeal
from shared.runtime.config import Settings
from tests.integration.schema.rows import connected, until
from tests.support.api import Api, refused, running_suite
from tests.support.event_watcher import TELL, EventWatcher, cursor_now, tell, watch_events
from tests.support.lock_watcher import watch_locks
from tests.support.locks import Studio
from tests.support.outbox import CONSUMED
from tests.support.waiting import PATIENCE_SECONDS


async def read_silence(watcher: EventWatcher) -> None:
    """Reads a message, which has no event."""
    assert not (await watcher.next()).HasField("event")


async def test_a_watch_goes_on_from_any_cursor(api: Api) -> None:
    who = await api.account()
    repo = await api.repository(who)
    for request in ({"repository": repo.id}, {"owner": who.username}, {}):
        cursors = [await cursor_now(api, who, **request)]
        names = [f"b{number}" for number in range(120)]
        async with watch_events(api, who, **request) as watcher:
            await watcher.next()
            for start in range(0, len(names), 15):
                await tell(api, repo, *names[start : start + 15])
            for name in names:
                assert await watcher.branch() == name
                cursors.append(watcher.cursor)
        for at in (0, 1, 99, 119):
            async with watch_events(api, who, cursor=cursors[at], **request) as watcher:
                assert [await watcher.branch() for _ in names[at:]] == names[at:]
        async with watch_events(api, who, cursor=cursors[-1], **request) as watcher:
            await read_silence(watcher)


async def test_a_server_that_stops_ends_streams_at_once(dsn: str, settings: Settings) -> None:
    """It does not wait for them as for other calls."""
    patient = settings.model_copy(update={"drain_seconds": 60.0})
    async with running_suite(dsn, patient) as api:
        studio = await Studio.open(api)
        async with (
            watch_events(api, studio.bob, repository=studio.repo.id) as one,
            watch_events(api, studio.bob) as many,
            watch_locks(studio, studio.bob) as locks,
        ):
            for watcher in (one, many, locks):
                await watcher.next()
            stopping = asyncio.create_task(api.suite.stop())
            for watcher in (one, many, locks):
                with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
                    await watcher.next()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await stopping


async def test_a_watch_goes_on_after_a_restart(dsn: str, settings: Settings) -> None:
    async with running_suite(dsn, settings) as api:
        who = await api.account()
        repo = await api.repository(who)
        cursor = await cursor_now(api, who, repository=repo.id)
        async with watch_events(api, who, repository=repo.id, cursor=cursor) as watcher:
            await tell(api, repo, "a", "b")
            assert await watcher.branch() == "a"
            cursor = watcher.cursor
    async with running_suite(dsn, settings) as api:
        await tell(api, repo, "c")
        async with watch_events(api, who, repository=repo.id, cursor=cursor) as watcher:
            assert [await watcher.branch() for _ in range(2)] == ["b", "c"]


@pytest.mark.parametrize("number_first", [True, False])
async def test_what_commits_late_is_neither_lost_nor_doubled(api: Api, number_first: bool) -> None:
    """A transaction that has its number before or after another one, and commits after it."""
    who = await api.account()
    repo = await api.repository(who)
    cursor = await cursor_now(api, who)
    async with connected(api.dsn) as slow:
        late = slow.transaction()
        await late.start()
        if number_first:
            await slow.execute("SELECT pg_current_xact_id()")
        await tell(api, repo, "quick")
        await slow.execute(TELL, repo.id, ["slow"])
        async with watch_events(api, who, cursor=cursor) as watcher:
            if number_first:
                await read_silence(watcher)
                await late.commit()
                assert [await watcher.branch() for _ in range(2)] == ["slow", "quick"]
            else:
                assert await watcher.branch() == "quick"
                await late.commit()
                assert await watcher.branch() == "slow"


async def test_the_order_is_that_of_numbers(api: Api) -> None:
    """The text of a number may sort otherwise."""
    who = await api.account()
    repo = await api.repository(who)
    cursor = await cursor_now(api, who)
    seal = CursorSeal(api.suite._runtime.key, b"granted", who.id.bytes)
    first = seal.write_cursor(seal.read_cursor(cursor)._replace(xid="0"))
    for xid in ("100", "99", "9"):
        await api.fetch(
            """INSERT INTO events (xid, type, repo_id, payload)
               VALUES ($1::text::xid8, 'branch.created', $2::uuid, $3::jsonb)""",
            xid,
            repo.id,
            f'{{"branch": "{xid}"}}',
        )
    async with watch_events(api, who, cursor=first, patterns=["branch.*"]) as watcher:
        assert [await watcher.branch() for _ in range(3)] == ["9", "99", "100"]


async def test_many_events_of_others_are_passed_over(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "WINDOW", 10)
    ada, bob = await api.account(), await api.account()
    mine, theirs = await api.repository(ada), await api.repository(bob)
    cursor = await cursor_now(api, ada)
    await tell(api, theirs, *map(str, range(55)))
    await tell(api, mine, "mine")
    async with watch_events(api, ada, cursor=cursor) as watcher:
        assert await watcher.branch() == "mine"


async def test_cursors_are_good_for_one_stream(api: Api) -> None:
    studio = await Studio.open(api)
    elsewhere = await api.repository(studio.ada)
    request = {"repository": studio.repo.id}
    foreign = [
        await cursor_now(api, studio.ada, repository=elsewhere.id),
        await cursor_now(api, studio.ada, owner=studio.ada.username),
        await cursor_now(api, studio.ada),
        await cursor_now(api, studio.bob),
    ]
    good = await cursor_now(api, studio.ada, **request)
    forged = [good[:-4], good.swapcase(), "x", "é", "AAAA"]
    for cursor in (*foreign, *forged):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            async with watch_events(api, studio.ada, cursor=cursor, **request) as watcher:
                await watcher.next()
        assert refusal.detail(BadRequest).field_violations[0].field == "cursor"
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        async with watch_events(api, studio.ada, cursor=foreign[-1]) as watcher:
            await watcher.next()
    async with watch_events(api, studio.bob, cursor=good, **request) as watcher:
        await read_silence(watcher)


async def test_a_cursor_that_is_too_old_is_refused(api: Api) -> None:
    who = await api.account()
    repo = await api.repository(who)
    requests: list[dict[str, str]] = [{"repository": repo.id}, {"owner": who.username}, {}]
    old = [await cursor_now(api, who, **request) for request in requests]
    await tell(api, repo, "gone")
    now = [await cursor_now(api, who, **request) for request in requests]
    await api.fetch("UPDATE events SET created_at = created_at - interval '31 days'")
    database = await Database.connect(api.dsn, service="test", size=1)
    async with connected(api.dsn) as connection:
        await until(connection, CONSUMED)
    assert [count async for count in purge_events().delete_batches(database)]
    await database.close()
    assert await api.value("SELECT count(*) FROM events") == 0
    for request, cursor in zip(requests, old, strict=True):
        with refused(StatusCode.OUT_OF_RANGE, "CURSOR_TOO_OLD"):
            async with watch_events(api, who, cursor=cursor, **request) as watcher:
                await watcher.next()
    for request, cursor in zip(requests, now, strict=True):
        async with watch_events(api, who, cursor=cursor, **request) as watcher:
            await read_silence(watcher)


async def test_a_watch_of_a_repository_ends_with_the_right_to_it(api: Api) -> None:
    studio = await Studio.open(api)
    async with watch_events(api, studio.dan, repository=studio.repo.id) as watcher:
        await watcher.next()
        await api.fetch("DELETE FROM repository_collaborators WHERE user_id = $1", studio.dan.id)
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            while True:
                await watcher.next()


async def test_a_watch_of_many_shows_nothing_from_where_the_right_has_ended(api: Api) -> None:
    studio = await Studio.open(api)
    own = await api.repository(studio.dan)
    internal = await api.repository(studio.ada, visibility=Visibility.VISIBILITY_INTERNAL)
    async with (
        watch_events(api, studio.dan) as granted,
        watch_events(api, studio.dan, owner=studio.ada.username) as owned,
    ):
        await granted.next()
        await owned.next()
        await tell(api, studio.repo, "before")
        assert await granted.branch() == await owned.branch() == "before"
        await api.fetch("DELETE FROM repository_collaborators WHERE user_id = $1", studio.dan.id)
        await tell(api, studio.repo, "after")
        await tell(api, internal, "internal")
        await tell(api, own, "own")
        assert await granted.branch() == "own"
        assert await owned.branch() == "internal"


async def test_a_watch_of_many_ends_with_the_credential(api: Api) -> None:
    who = await api.account()
    async with watch_events(api, who) as watcher:
        await watcher.next()
        await api.fetch("UPDATE sessions SET revoked_at = now() WHERE user_id = $1", who.id)
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            while True:
                await watcher.next()


async def test_a_slow_caller_gets_nothing_that_it_may_not_see_any_more(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events wait in the server while the caller takes nothing, and are judged again."""
    monkeypatch.setattr(event_stream, "JUDGED_SECONDS", 0.2)
    studio = await Studio.open(api)
    own = await api.repository(studio.dan)
    cursor = await cursor_now(api, studio.dan)
    await tell(api, studio.repo, *("x" * 400_000 + str(number) for number in range(90)))
    async with watch_events(api, studio.dan, cursor=cursor) as watcher:
        await watcher.event()
        # More than buffers hold.
        await asyncio.sleep(0.5)
        await api.fetch("DELETE FROM repository_collaborators WHERE user_id = $1", studio.dan.id)
        await tell(api, own, "own")
        told = 1
        while await watcher.branch() != "own":
            told += 1
    assert told < 90
