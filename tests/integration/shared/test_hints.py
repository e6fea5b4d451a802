"""Hints come after the commit: to this process at once, to the others by NOTIFY; none after a rollback."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from shared.db.hints import hint_after_commit
from shared.db.listen import Listener
from shared.db.pool import Connection, Database
from tests.support.waiting import PATIENCE_SECONDS

CHANNEL = "dits_test"


async def test_hints_are_given_after_the_commit(database: Database, dsn: str) -> None:
    told: list[str] = []
    heard: asyncio.Queue[str] = asyncio.Queue()
    database.hints.subscribe(CHANNEL, told.append)
    listening = asyncio.Event()
    listener = Listener(dsn)
    listener.subscribe(CHANNEL, heard.put_nowait)
    listener.subscribe_gaps(listening.set)
    listener.start()
    await asyncio.wait_for(listening.wait(), PATIENCE_SECONDS)

    async def work(_connection: Connection) -> None:
        for payload in ("a", "b", "a"):
            hint_after_commit(CHANNEL, payload)
        assert told == []

    await database.transaction(work)
    assert sorted(told) == ["a", "b"]
    await database.hints.send_hints()
    assert {await asyncio.wait_for(heard.get(), PATIENCE_SECONDS) for _ in range(2)} == {"a", "b"}
    await listener.stop()


async def test_what_is_undone_gives_no_hint(database: Database) -> None:
    told: list[str] = []
    database.hints.subscribe(CHANNEL, told.append)

    async def work(_connection: Connection) -> None:
        hint_after_commit(CHANNEL, "a")
        raise KeyError(str(uuid4()))

    with pytest.raises(KeyError):
        await database.transaction(work)
    hint_after_commit(CHANNEL, "outside")
    assert told == []
