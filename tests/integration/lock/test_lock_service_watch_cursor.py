"""Cursors of Watch: a watch continues from each, or is refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from shared.jobs.retention import purge_events
from shared.outbox.cursors import CursorSeal
from tests.support.api import refused
from tests.support.lock_watcher import watch_locks
from tests.support.locks import Studio, open_replica


async def test_a_watch_goes_on_from_any_cursor(studio: Studio) -> None:
    async with watch_locks(studio, studio.bob) as watcher:
        cursors = [(await watcher.next()).cursor]
        expected = []
        for i in range(250):
            await studio.take(studio.bob, f"p{i}")
            expected.append(("ACQUIRED", [f"p{i}"]))
        for event in expected:
            assert await watcher.event() == event
            cursors.append(watcher.cursor)
    for at in (0, 1, 99, 100, 249):
        async with watch_locks(studio, studio.cyn, cursors[at]) as watcher:
            for event in expected[at:]:
                assert await watcher.event() == event
    async with watch_locks(studio, studio.bob, cursors[-1]) as watcher:
        assert not (await watcher.next()).HasField("event")


async def test_a_cursor_that_is_too_old_is_refused(studio: Studio) -> None:
    async with watch_locks(studio, studio.bob) as watcher:
        start = (await watcher.next()).cursor
        await studio.take(studio.bob, "a")
        await watcher.event()
        seen = watcher.cursor
    async with open_replica(studio.api) as replica:
        database = replica.databases.of(UUID(studio.repo.id))
        assert [count async for count in purge_events().delete_batches(database)]
        async with watch_locks(studio, studio.bob, start) as watcher:
            assert await watcher.event() == ("ACQUIRED", ["a"])
        # A consumer that has not read them yet keeps events in place.
        await studio.api.fetch("UPDATE events SET created_at = created_at - interval '31 days'")
        await studio.api.fetch("INSERT INTO event_cursors (consumer) VALUES ('slow')")
        assert [count async for count in purge_events().delete_batches(database)]
        assert await studio.events() != []
        await studio.api.fetch("DELETE FROM event_cursors")
        assert [count async for count in purge_events().delete_batches(database)]
        assert await studio.events() == []
    with refused(StatusCode.OUT_OF_RANGE, "CURSOR_TOO_OLD"):
        async with watch_locks(studio, studio.bob, start) as watcher:
            await watcher.next()
    async with watch_locks(studio, studio.bob, seen) as watcher:
        assert not (await watcher.next()).HasField("event")


@pytest.mark.parametrize(
    "changes", [{"database_id": str(UUID(int=7))}, {"xid": "1000000000"}], ids=lambda c: min(c)
)
async def test_a_cursor_of_another_database_is_refused(
    studio: Studio, changes: dict[str, Any]
) -> None:
    """It names another one, or a transaction that this one has not begun."""
    async with watch_locks(studio, studio.bob) as watcher:
        cursor = (await watcher.next()).cursor
    cursors = CursorSeal(studio.api.suite._runtime.key, UUID(studio.repo.id).bytes)
    position = cursors.read_cursor(cursor)
    assert position.database_id == str(await studio.api.value("SELECT database_id()"))
    foreign = cursors.write_cursor(position._replace(**changes))
    with refused(StatusCode.OUT_OF_RANGE, "CURSOR_TOO_OLD"):
        async with watch_locks(studio, studio.bob, foreign) as watcher:
            await watcher.next()


async def test_a_forged_cursor_is_refused(studio: Studio) -> None:
    elsewhere = await Studio.open(studio.api)
    async with watch_locks(elsewhere, elsewhere.bob) as watcher:
        foreign = (await watcher.next()).cursor
    for cursor in (foreign, "x", "é", foreign[:-4], "AAAA"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            async with watch_locks(studio, studio.bob, cursor) as watcher:
                await watcher.next()
        assert refusal.detail(BadRequest).field_violations[0].field == "cursor"
