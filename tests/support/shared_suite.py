"""A suite that tests use one after the other; each finds the database as a new one would be.

To start a suite and to make its database costs half a second, which is more than most tests take.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from services.suite import Suite
from shared.runtime.config import Settings
from tests.support.api import Api, start_suite
from tests.support.connections import Connections
from tests.support.records import check_records, check_rows_written
from tests.support.waiting import PATIENCE_SECONDS

# What the suite itself wrote when it started, and goes on with.
_KEPT = """
    schema_migrations schema_functions event_cursors event_horizon job_schedules usage_writers stores
    store_stamps deployment
""".split()
_TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> ALL ($1)
ORDER BY 1"""
_SHAPE = """
SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_proc),
       (SELECT count(*) FROM pg_constraint)"""
# Only here: the audit log of a test may go.
_PERMIT = """
CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('session_replication_role') = 'replica' AND TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$"""


class SharedApi(Api):
    """An Api whose suite goes on; whoever reaches into the suite spoils it for those who follow."""

    def __init__(self, suite: Suite, dsn: str, connections: Connections) -> None:
        self.is_spoiled = False
        self._connections = connections
        super().__init__(suite, dsn)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection that tests before have used."""
        async with self._connections.lend() as connection:
            yield connection

    @property
    def suite(self) -> Suite:
        """The suite."""
        self.is_spoiled = True
        return self._suite

    @suite.setter
    def suite(self, suite: Suite) -> None:
        self._suite = suite


class SharedSuites:
    """The suite that tests share, one after the other."""

    def __init__(
        self,
        create_database: Callable[[], Awaitable[str]],
        choose_settings: Callable[[], Settings],
    ) -> None:
        self._create_database = create_database
        self._choose_settings = choose_settings
        self._current: _SuiteInUse | None = None

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Api]:
        """Yields stubs for the suite; afterwards the database is emptied, and what was written checked."""
        if self._current is None:
            self._current = await _SuiteInUse.start(
                await self._create_database(), self._choose_settings()
            )
        current, self._current = self._current, None
        running = SharedApi(current.suite, current.dsn, current.connections)
        try:
            yield running
        finally:
            await running.close()
            await self._take_back(current, running)

    async def _take_back(self, current: _SuiteInUse, running: SharedApi) -> None:
        if running.is_spoiled or await current.is_changed():
            await current.stop()
            await check_records(current.dsn)
            return
        self._current = current
        try:
            await check_rows_written(current.connection)
        finally:
            await current.empty()

    async def stop(self) -> None:
        """Stops the suite, if there is one."""
        if self._current is not None:
            await self._current.stop()


@dataclass(slots=True)
class _SuiteInUse:
    suite: Suite
    dsn: str
    connection: asyncpg.Connection[asyncpg.Record]
    connections: Connections
    tables: list[str]
    shape: Any

    @classmethod
    async def start(cls, dsn: str, settings: Settings) -> _SuiteInUse:
        connection = await asyncpg.connect(dsn)
        await connection.execute(_PERMIT)
        tables = [row["name"] for row in await connection.fetch(_TABLES, _KEPT)]
        shape = await connection.fetchrow(_SHAPE)
        suite = await start_suite(dsn, settings)
        return cls(suite, dsn, connection, Connections(dsn), tables, shape)

    async def stop(self) -> None:
        await self.suite.stop()
        await self.connections.close()
        await self.connection.close()

    async def is_changed(self) -> bool:
        """Whether a test has changed tables, triggers, functions or constraints, or cut our connection."""
        try:
            return bool(await self.connection.fetchrow(_SHAPE) != self.shape)
        except (asyncpg.InterfaceError, asyncpg.PostgresConnectionError):
            return True

    async def empty(self) -> None:
        """Deletes the rows of all tables; again after a deadlock: the services' own work may go on."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    return await self._delete_rows()
                except asyncpg.DeadlockDetectedError:
                    continue

    async def _delete_rows(self) -> None:
        looks = " UNION ALL ".join(
            f"SELECT '{name}' AS name WHERE EXISTS (SELECT FROM {name})" for name in self.tables
        )
        async with self.connection.transaction():
            await self.connection.execute("SET LOCAL session_replication_role = replica")
            # Or a chain of hashes that is made meanwhile is about rows that are gone.
            await self.connection.execute(
                "SELECT pg_advisory_xact_lock(advisory_key('audit', 'seal'))"
            )
            while full := [row["name"] for row in await self.connection.fetch(looks)]:
                for name in full:
                    await self.connection.execute(f"DELETE FROM {name}")
