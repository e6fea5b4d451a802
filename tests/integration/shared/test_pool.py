"""The pool: connections that stay at hand keep nobody waiting, and none is used after its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from shared.db.pool import MOST_SPARE, UNREACHABLE, Connection, Database
from shared.errors import DomainError, not_found
from tests.support.waiting import until_blocked

SIZE = 6


@pytest.fixture
async def database(empty_database: str) -> AsyncIterator[Database]:
    """A pool of a few connections."""
    opened = await Database.connect(empty_database, service="test", size=SIZE)
    yield opened
    await opened.close()


async def _backend(database: Database) -> int:
    [row] = await database.fetch("SELECT pg_backend_pid() AS pid")
    return int(row["pid"])


async def _occupy(database: Database, count: int) -> None:
    """Uses so many connections at once."""
    together = asyncio.Barrier(count)

    async def use() -> None:
        async with database.connection():
            await together.wait()

    await asyncio.gather(*(use() for _ in range(count)))


async def test_one_call_after_the_other_uses_the_same_connection(database: Database) -> None:
    assert await _backend(database) == await _backend(database)


async def test_no_more_than_a_few_stay_at_hand(database: Database) -> None:
    await _occupy(database, SIZE)
    assert database.pool.get_idle_size() == SIZE - MOST_SPARE
    await _occupy(database, SIZE)


async def test_a_connection_that_the_server_has_ended_is_not_used_again(database: Database) -> None:
    ended = asyncio.Event()
    async with database.connection() as connection:
        connection.add_termination_listener(lambda _: ended.set())
        async with database.connection() as other:
            pid = connection.get_server_pid()
            await other.execute(f"SELECT pg_terminate_backend({pid})")
            await ended.wait()
    assert await _backend(database) != pid
    await _occupy(database, SIZE)


async def test_a_caller_that_waits_gets_a_connection_that_is_given_back(database: Database) -> None:
    free, is_held = asyncio.Event(), asyncio.Barrier(SIZE + 1)

    async def hold() -> None:
        async with database.connection():
            await is_held.wait()
            await free.wait()

    holders = [asyncio.create_task(hold()) for _ in range(SIZE)]
    await is_held.wait()
    waiting = [asyncio.create_task(_backend(database)) for _ in range(SIZE)]
    await asyncio.sleep(0)
    assert database._waiting == SIZE
    free.set()
    await asyncio.gather(*waiting, *holders)


async def test_what_a_cancelled_call_has_begun_disturbs_no_other(
    database: Database, empty_database: str
) -> None:
    async def lock() -> None:
        async with database.connection() as connection:
            await connection.execute("SELECT pg_advisory_lock(1)")

    holder = await asyncpg.connect(empty_database)
    await holder.execute("SELECT pg_advisory_lock(1)")
    call = asyncio.create_task(lock())
    await until_blocked(holder)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await holder.close()
    await _occupy(database, SIZE)
    assert await database.fetch("SELECT 1")


async def test_an_error_within_a_transaction_leaves_no_transaction_open(database: Database) -> None:
    async def fail(connection: object) -> None:
        raise not_found("film", "ada")

    with pytest.raises(DomainError):
        await database.transaction(fail)
    async with database.connection() as connection:
        assert not connection.is_in_transaction()


async def test_a_connection_that_the_server_is_ending_is_unreachable(database: Database) -> None:
    """The server says why, and closes: a statement may come between the two."""
    async with database.connection() as connection:
        spare: Any = connection
    farewell = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
    spare._con._protocol.data_received(b"E" + (len(farewell) + 4).to_bytes(4) + farewell)
    with pytest.raises(UNREACHABLE):
        await database.fetch("SELECT 1")
    assert await database.fetch("SELECT 1")


async def test_sessions_that_may_not_write_are_replaced(
    database: Database, empty_database: str
) -> None:
    [row] = await database.fetch("SELECT quote_ident(current_database()) AS name")
    at_once = f"ALTER DATABASE {row['name']} SET default_transaction_read_only"
    await database.fetch(f"{at_once} = on")
    opened = await Database.connect(empty_database, service="test", size=SIZE)
    await _occupy(opened, SIZE)
    # The database may be written again; the sessions that were opened meanwhile do not know.
    await database.fetch(f"{at_once} = off")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await opened.fetch("CREATE TABLE first ()")
    await _occupy(opened, SIZE)
    await opened.fetch("CREATE TABLE second ()")
    await opened.close()


async def test_transactions_read_what_was_committed_whatever_the_database_prefers(
    empty_database: str,
) -> None:
    connection = await asyncpg.connect(empty_database)
    try:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(
            f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'"
        )
    finally:
        await connection.close()
    database = await Database.connect(empty_database, service="test", size=1)
    try:
        isolation = await database.transaction(_read_isolation)
        assert isolation == "read committed"
    finally:
        await database.close()


async def _read_isolation(connection: Connection) -> str:
    isolation: str = await connection.fetchval("SHOW transaction_isolation")
    return isolation
