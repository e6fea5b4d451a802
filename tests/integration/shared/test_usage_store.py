"""Counts are stored once: by several processes, over broken connections, and while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest
from dits.common.v1.access_pb2 import COUNTING_UNSPECIFIED

from shared.db.pool import Database
from shared.records import usage as records
from shared.records.usage import UsageStore
from shared.rpc.call import Access, Call, Caller
from shared.rpc.usage import UsageCounters
from tests.support.postgres_proxy import Cut, Proxy
from tests.support.usage import read_usage


class Writer:
    """The store of a process, and calls of one account that it counts."""

    def __init__(self, database: Database, user_id: UUID) -> None:
        self.counters = UsageCounters()
        self.store = UsageStore(database, self.counters)
        self._user_id = user_id

    def count(self, calls: int, user_id: UUID | None = None) -> None:
        """Counts calls, of the account or of another one."""
        caller = Caller.of(user_id or self._user_id, "ada", uuid4(), None)
        for _ in range(calls):
            call = Call("m", "r", access=Access(caller, None))
            self.counters.begin(call)
            self.counters.end(call, COUNTING_UNSPECIFIED)


async def count_requests(dsn: str, user_id: UUID) -> int:
    """Returns the requests of an account that are stored."""
    return (await read_usage(dsn)).get(("user", user_id), (0,))[0]


@pytest.fixture
async def proxy(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the database of the test, and its DSN."""
    proxy = Proxy()
    yield proxy, await proxy.start(dsn)
    await proxy.stop()


async def test_processes_add_up(dsn: str) -> None:
    ada = uuid4()
    database = await Database.connect(dsn, service="test", size=4)
    writers = [Writer(database, ada) for _ in range(4)]
    for _ in range(3):
        for writer in writers:
            writer.count(5)
        await asyncio.gather(*(writer.store.store() for writer in writers))
    await database.close()
    assert await count_requests(dsn, ada) == 60


async def test_many_entities_take_several_batches(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_ROWS", 2)
    database = await Database.connect(dsn, service="test", size=1)
    writer = Writer(database, uuid4())
    users = {uuid4() for _ in range(5)}
    for user_id in users:
        writer.count(1, user_id)
    await writer.store.store()
    await database.close()
    stored = await read_usage(dsn)
    assert {entity[1] for entity in stored} == users
    assert {amounts[0] for amounts in stored.values()} == {1}


@pytest.mark.parametrize("cut", [Cut.REQUEST, Cut.REPLY])
async def test_a_broken_connection_counts_once(
    dsn: str, proxy: tuple[Proxy, str], cut: Cut
) -> None:
    ada = uuid4()
    database = await Database.connect(proxy[1], service="test", size=1)
    writer = Writer(database, ada)
    await writer.store.store()
    writer.count(3)
    # The first statement of the writer has no rows; this one has the type of one.
    proxy[0].cut(cut, "user", at="user")
    with pytest.raises(asyncpg.PostgresConnectionError):
        await writer.store.store()
    assert await count_requests(dsn, ada) == (3 if cut is Cut.REPLY else 0)
    writer.count(4)
    await writer.store.store()
    await database.close()
    assert await count_requests(dsn, ada) == 7


async def test_nothing_is_lost_while_the_database_is_away(dsn: str, postgres: str) -> None:
    ada = uuid4()
    database = await Database.connect(dsn, service="test", size=1)
    writer = Writer(database, ada)
    writer.count(1)
    admin = await asyncpg.connect(postgres)
    name = await admin.fetchval("SELECT substring($1 FROM '/([a-z0-9_]+)(\\?|$)')", dsn)
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    # The last is what asyncpg makes of a connection that breaks while the pool looks at it.
    failures = asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncpg.InternalClientError
    for _ in range(3):
        with pytest.raises(failures):
            await writer.store.store()
        writer.count(2)
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await admin.close()
    await writer.store.store()
    await database.close()
    assert await count_requests(dsn, ada) == 7
