"""Fixtures: one PostgreSQL per test process, one fresh database and one running suite per test."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import structlog

from migrations.runner import migrate
from shared.postgres.embedded import EmbeddedPostgres
from shared.runtime.config import Settings
from tests.support.api import Api, running_suite
from tests.support.embedded_postgres import scratch_folder
from tests.support.records import check_records
from tests.support.secrets import LogWatch
from tests.support.watchdog import Watchdog, WatchedLoop

_numbers = itertools.count(1)
_watchdog = Watchdog()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the services run on, with a watchdog."""
    return {"uvloop": _new_loop}


def _new_loop() -> asyncio.AbstractEventLoop:
    return WatchedLoop(_watchdog)


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Writes tracebacks without local variables, as the server does, and wants no secret in any entry."""
    before = structlog.get_config()["processors"]
    *processors, _ = before
    # Without them: chunks take seconds to print.
    formatter = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=formatter)
    watch = LogWatch()
    structlog.configure(processors=[*processors, watch, renderer])
    yield
    structlog.configure(processors=before)
    assert watch.leaks == []


@pytest.fixture(autouse=True)
def free_loop() -> Iterator[None]:
    """Holds the services to it that no step on the loop takes long."""
    begun = len(_watchdog.long_steps)
    yield
    found = _watchdog.long_steps[begun:]
    assert not found, "\n".join(map(str, found))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """DSN of a PostgreSQL of this test process, in memory: dropping databases on disk is slow."""
    with scratch_folder() as folder, EmbeddedPostgres(folder, durable=False) as server:
        yield server.dsn


def database(dsn: str, name: str) -> str:
    """The DSN of another database of the same server."""
    return re.sub(r"/[^/?]+(\?|$)", rf"/{name}\1", dsn)


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def empty_database(postgres: str) -> AsyncIterator[str]:
    """DSN of a database without anything in it."""
    name = f"empty_{next(_numbers)}"
    await _execute(postgres, f"CREATE DATABASE {name} STRATEGY file_copy")
    yield database(postgres, name)
    await _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
async def template(postgres: str) -> str:
    """Name of a migrated database to clone."""
    await _execute(postgres, "CREATE DATABASE migrated STRATEGY file_copy")
    await migrate(database(postgres, "migrated"))
    return "migrated"


@pytest.fixture
async def dsn(postgres: str, template: str) -> AsyncIterator[str]:
    """DSN of a fresh migrated database."""
    name = f"test_{next(_numbers)}"
    await _execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield database(postgres, name)
    await _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of the suite; a test module overrides this fixture to change them."""
    return Settings(
        data_dir=tmp_path / "data",
        auth_port=0,
        repo_port=0,
        chunk_port=0,
        lock_port=0,
        pool_size=5,
        drain_seconds=0.2,
        server_key="5e" * 32,
    )


@pytest.fixture
async def api(dsn: str, settings: Settings) -> AsyncIterator[Api]:
    """All four services on free ports over a fresh database, with stubs; what they wrote is checked."""
    async with running_suite(dsn, settings) as running:
        yield running
    await check_records(dsn)
