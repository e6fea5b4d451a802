"""Short histories whose calls meet in one way only, each for a bug that random histories find by luck."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import asyncpg

from tests.linearizability.answers import SECOND
from tests.linearizability.checker import Operation
from tests.linearizability.operations import EXCLUSIVE, Acquire, Acquired, Held, Renew
from tests.linearizability.players import Player
from tests.linearizability.push_questions import PushQuestions
from tests.support.api import Account
from tests.support.locks import Studio
from tests.support.waiting import PATIENCE_SECONDS

TREE = "t0/"
TTL = 10 * SECOND
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(slots=True)
class Stage:
    """Two people, each with a connection for what pushes ask, and a third connection that observes."""

    studio: Studio
    bobs: Connection
    cyns: Connection
    observer: Connection
    history: list[Operation] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def open(cls, studio: Studio) -> AsyncIterator[Stage]:
        """A stage in a new repository of the studio's people."""
        connect = partial(asyncpg.connect, studio.api.dsn)
        connections = bobs, cyns, observer = await connect(), await connect(), await connect()
        try:
            yield cls(await studio.next_repository(), bobs, cyns, observer)
        finally:
            for connection in connections:
                await connection.close()

    @property
    def bob(self) -> Player:
        return self._player(self.studio.bob, self.bobs)

    @property
    def cyn(self) -> Player:
        return self._player(self.studio.cyn, self.cyns)

    def _player(self, who: Account, connection: Connection) -> Player:
        questions = PushQuestions(connection, self.studio.repo.id)
        replicas = [self.studio.api.locks]
        dice = random.Random(0)
        player = Player(
            self.studio, replicas, questions, dice, who.username, self.history, {}, TREE
        )
        player.who = who
        return player

    async def take(self, player: Player, name: str) -> Held:
        """Gives a player an exclusive lock for ten seconds."""
        asked = Acquire(player.who.username, (TREE + name,), EXCLUSIVE, TTL)
        await player.note(player.ask_acquire(asked))
        answer = self.history[-1].answer
        assert isinstance(answer, Acquired)
        lock = answer.results[0].lock
        assert lock is not None
        return lock

    async def renew(self, player: Player, lock: Held, fence: int) -> None:
        """Asks for ten seconds more."""
        await player.note(player.ask_renew(Renew(player.who.username, lock.id, fence, TTL)))

    async def until_waited_for(self, connection: Connection) -> None:
        """Returns when a transaction waits for that of the connection."""
        waits = """SELECT EXISTS (SELECT FROM pg_locks
                                  WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid)))"""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.observer.fetchval(waits, connection.get_server_pid()):
                pass

    async def until_waiting_or_done(self, connection: Connection, task: asyncio.Task[None]) -> None:
        """Returns when the connection waits for another, or the task that uses it has ended."""
        waits = "SELECT cardinality(pg_blocking_pids($1)) > 0"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (
                task.done() or await self.observer.fetchval(waits, connection.get_server_pid())
            ):
                pass


Scene: TypeAlias = Callable[[Stage], Awaitable[None]]


async def renew_an_ended_lock(stage: Stage) -> None:
    lock = await stage.take(stage.bob, "a")
    await stage.studio.pass_time(11)
    await stage.renew(stage.bob, lock, lock.fence)


async def renew_with_another_fence(stage: Stage) -> None:
    lock = await stage.take(stage.bob, "a")
    await stage.renew(stage.bob, lock, lock.fence + 1)


async def show_an_ended_lock(stage: Stage) -> None:
    lock = await stage.take(stage.bob, "a")
    await stage.studio.pass_time(11)
    await stage.bob.note(stage.bob.ask_show(lock))


async def change_below_a_locked_directory(stage: Stage) -> None:
    await stage.take(stage.bob, "d/")
    await stage.cyn.note(stage.cyn.ask_change(TREE + "d/x"))


async def read_while_a_change_waits_for_the_mutex(stage: Stage) -> None:
    """Cyn's read has the mutex before Bob's lock, and is judged when Bob's transaction has begun."""
    async with asyncio.TaskGroup() as tasks, stage.cyns.transaction():
        await stage.cyns.execute("SELECT share_lock_mutex($1::uuid)", stage.studio.repo.id)
        tasks.create_task(stage.take(stage.bob, "a"))
        await stage.until_waited_for(stage.cyns)
        await stage.cyn.note(stage.cyn.ask_change(TREE + "a"))


async def read_while_a_change_has_the_mutex(stage: Stage) -> None:
    """Bob's lock has got its time, and cannot be written before Cyn's read has come, or waits."""
    async with asyncio.TaskGroup() as tasks, stage.bobs.transaction():
        await stage.bobs.execute("LOCK TABLE lock_history IN SHARE MODE")
        tasks.create_task(stage.take(stage.bob, "a"))
        await stage.until_waited_for(stage.bobs)
        reading = tasks.create_task(stage.cyn.note(stage.cyn.ask_change(TREE + "a")))
        await stage.until_waiting_or_done(stage.cyns, reading)
