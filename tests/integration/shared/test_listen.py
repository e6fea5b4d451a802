"""The LISTEN connection of a process: what arrives, what may have been missed, and when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.db import listen
from shared.db.listen import Listener
from shared.runtime import waiting
from tests.support.waiting import PATIENCE_SECONDS


class Ears:
    """A listener, and what it has told."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.listener = Listener(dsn)
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.gaps: asyncio.Queue[None] = asyncio.Queue()
        self.listener.subscribe_gaps(lambda: self.gaps.put_nowait(None))

    async def sessions(self) -> list[int]:
        """The sessions that listen."""
        return [
            row["pid"]
            for row in await self.execute(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                " AND datname = current_database()"
            )
        ]

    async def execute(self, query: str) -> list[asyncpg.Record]:
        """Runs a statement on a connection of its own."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    async def hears(self, channel: str, payload: str) -> bool:
        """Notifies and waits for it."""
        await self.execute(f"SELECT pg_notify('{channel}', '{payload}')")
        return await asyncio.wait_for(self.heard.get(), PATIENCE_SECONDS) == payload


@pytest.fixture
async def ears(empty_database: str) -> AsyncIterator[Ears]:
    ears = Ears(empty_database)
    ears.listener.start()
    try:
        yield ears
    finally:
        await ears.listener.stop()


async def test_a_channel_may_come_before_the_connection_or_after(ears: Ears) -> None:
    ears.listener.subscribe("early", ears.heard.put_nowait)
    await asyncio.wait_for(ears.gaps.get(), PATIENCE_SECONDS)
    assert await ears.hears("early", "1")
    ears.listener.subscribe("late", ears.heard.put_nowait)
    await asyncio.wait_for(ears.gaps.get(), PATIENCE_SECONDS)
    assert await ears.hears("late", "2")
    assert await ears.hears("early", "3")
    assert len(await ears.sessions()) == 1


async def test_a_lost_connection_is_told_and_made_again(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "RECONNECT_SECONDS", 0.01)
    ears.listener.subscribe("early", ears.heard.put_nowait)
    await asyncio.wait_for(ears.gaps.get(), PATIENCE_SECONDS)
    [lost] = await ears.sessions()
    await ears.execute(f"SELECT pg_terminate_backend({lost})")
    for _ in ("lost", "made again"):
        await asyncio.wait_for(ears.gaps.get(), PATIENCE_SECONDS)
    assert await ears.hears("early", "1")


async def test_it_ends_with_the_last_server_that_needs_it(ears: Ears) -> None:
    ears.listener.subscribe("early", ears.heard.put_nowait)
    ears.listener.start()
    await asyncio.wait_for(ears.gaps.get(), PATIENCE_SECONDS)
    await ears.listener.stop()
    assert await ears.hears("early", "1")
    ears.listener.start()
    await ears.listener.stop()
    await ears.listener.stop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await ears.sessions():
            pass
    ears.listener.start()


async def test_it_ends_when_the_database_does_not_answer(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_CANCEL_SECONDS", 1.1)
    ears.listener.subscribe("early", ears.heard.put_nowait)
    await asyncio.wait_for(ears.gaps.get(), PATIENCE_SECONDS)
    [session] = await ears.sessions()
    os.kill(session, signal.SIGSTOP)
    try:
        # To close the connection takes too long.
        await asyncio.wait_for(ears.listener.stop(), PATIENCE_SECONDS)
    finally:
        os.kill(session, signal.SIGCONT)
    ears.listener.start()
