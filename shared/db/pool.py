"""The database: one pool per service, and transactions that are retried as a whole."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
import structlog

from shared.db.hints import Hints, gather_hints
from shared.errors import contention, dependency_unavailable
from shared.runtime import metrics

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Row: TypeAlias = asyncpg.Record
else:
    Connection = asyncpg.Connection
    Row = asyncpg.Record

Result = TypeVar("Result")
Work = Callable[[Connection], Awaitable[Result]]

log = structlog.get_logger(__name__)

ATTEMPTS = 6
ACQUIRE_SECONDS = 10.0
# So many connections stay at hand: to give one to the pool and take it back costs more than a statement.
MOST_SPARE = 4
# Whoever waits this long for a lock, or idles in a transaction, holds others up: give way.
SESSION = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "statement_timeout": "60s",
    # What locks in one statement and works in the next has to see what it waited for.
    "default_transaction_isolation": "read committed",
    "timezone": "UTC",
    "jit": "off",
}
RETRIED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # The server has ended an idle connection, and its end is not seen yet.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    # It has become a standby, or has no room left.
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
)


async def _keep_session(_connection: object) -> None:
    """Resets nothing: our statements leave no state in a session, and asking costs a round trip."""


class Database:
    """A service's pool of connections.

    Attributes:
        hints: takes what transactions have to tell other processes.
    """

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self.pool = pool
        self._waiting = 0
        self._spare: list[Connection] = []
        self._most_spare = MOST_SPARE
        self.hints = Hints(self.fetch)

    @classmethod
    async def connect(
        cls, dsn: str, *, service: str, size: int, settings: Mapping[str, str] | None = None
    ) -> Database:
        """Opens the pool; the connections are made when first needed, with `settings` besides SESSION."""
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            server_settings={"application_name": f"dits-{service}", **SESSION, **(settings or {})},
            reset=_keep_session,
        )
        database = cls(pool)
        database._export(service)
        return database

    def _export(self, service: str) -> None:
        """Shows the pool in the metrics of a service."""
        pool = self.pool
        metrics.POOL_LIMIT.labels(service).set(pool.get_max_size())
        idle = metrics.POOL_CONNECTIONS.labels(service, "idle")
        idle.set_function(lambda: pool.get_idle_size() + len(self._spare))
        busy = metrics.POOL_CONNECTIONS.labels(service, "busy")
        busy.set_function(lambda: pool.get_size() - pool.get_idle_size() - len(self._spare))
        metrics.POOL_WAITING.labels(service).set_function(lambda: self._waiting)

    async def close(self) -> None:
        """Closes the pool, at the latest after five seconds."""
        self._most_spare = 0
        try:
            async with asyncio.timeout(5.0):
                while self._spare:
                    await self.pool.release(self._spare.pop())
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection without a transaction, for reads of one statement."""
        connection = await self._take()
        try:
            yield connection
        except BaseException as error:
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                await self._renew()
            # Something may be under way on it: the pool waits for its end.
            await self.pool.release(connection)
            raise
        await self._keep(connection)

    async def _renew(self) -> None:
        """Has every connection replaced before its next use: sessions that may not write stay so."""
        await self.pool.expire_connections()
        while self._spare:
            await self.pool.release(self._spare.pop())

    async def _take(self) -> Connection:
        while self._spare:
            connection = self._spare.pop()
            if _is_open(connection):
                return connection
            await self.pool.release(connection)
        self._waiting += 1
        try:
            return await self.pool.acquire(timeout=ACQUIRE_SECONDS)
        except TimeoutError as error:
            raise dependency_unavailable("database") from error
        finally:
            self._waiting -= 1

    async def _keep(self, connection: Connection) -> None:
        """Keeps a connection at hand, unless others wait for the pool."""
        if self._waiting or len(self._spare) >= self._most_spare:
            await self.pool.release(connection)
        else:
            self._spare.append(connection)

    async def fetch(self, query: str, *arguments: Any, seconds: float | None = None) -> list[Row]:
        """All rows of one statement, which is cancelled if it takes longer than `seconds`."""
        async with self.connection() as connection:
            return await connection.fetch(query, *arguments, timeout=seconds)

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        """The first row of one statement."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *arguments)

    async def statement(self, query: str, *arguments: Any) -> list[Row]:
        """All rows of one statement that writes; it is repeated after a deadlock."""

        async def work() -> list[Row]:
            return await self.fetch(query, *arguments)

        return await _repeated(work)

    async def transaction(self, work: Work[Result], *, undo: bool = False) -> Result:
        """Runs `work` in a READ COMMITTED transaction; repeats all of it after a deadlock.

        `work` may run several times, so it must not have effects outside the database. The hints that it
        asks for are sent after the commit. `undo` rolls it back instead: what `validate_only` asks for.
        """

        async def attempt() -> Result:
            with gather_hints() as hints, suppress(_UndoError):
                async with self.connection() as connection, connection.transaction():
                    result = await work(connection)
                    if undo:
                        raise _UndoError
            if not undo:
                self.hints.add(hints)
            return result

        return await _repeated(attempt)


def _is_open(connection: Connection) -> bool:
    """Whether a connection can be used. The pool takes back those that the server ends."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False


class _UndoError(Exception):
    """Ends a transaction that is not to be committed."""


class Databases:
    """The databases that hold repositories. Today there is one; with cells, one for each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, repository_id: UUID) -> Database:
        """Returns the database that holds a repository and everything that belongs to it."""
        del repository_id
        return self._database

    def every(self) -> Sequence[Database]:
        """Returns all of them, for background work."""
        return (self._database,)

    async def close(self) -> None:
        """Closes their pools."""
        await self._database.close()


async def _repeated(work: Callable[[], Awaitable[Result]]) -> Result:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await work()
        except RETRIED as error:
            metrics.TRANSACTION_RETRIES.labels(type(error).__name__).inc()
            log.info("transaction retried", attempt=attempt, cause=type(error).__name__)
            if attempt < ATTEMPTS:
                await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311
    raise contention()
