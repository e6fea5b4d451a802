"""Fixtures: one PostgreSQL per test process, and a running suite whose database is new to each test."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import pytest
import structlog

from migrations.runner import migrate
from shared.db.pool import Database, Databases
from shared.jobs import worker as worker_module
from shared.postgres.embedded import EmbeddedPostgres
from shared.rpc import access
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from tests.support.api import Api, running_suite
from tests.support.embedded_postgres import query, scratch_folder
from tests.support.password_hashes import hash_quickly
from tests.support.records import check_records
from tests.support.s3_server import S3Process, S3Server
from tests.support.scratch_databases import execute, name_database, open_databases
from tests.support.secrets import LogWatch, check_metrics
from tests.support.shared_suite import SharedSuites
from tests.support.suite_settings import default_settings
from tests.support.waiting import PATIENCE_SECONDS
from tests.support.watchdog import Watchdog, WatchedLoop

# How long an example takes is up to the load of the machine.
hypothesis.settings.register_profile("any load", deadline=None)
hypothesis.settings.load_profile("any load")
_numbers = itertools.count(1)
_watchdog = Watchdog()
_new_loop = partial(WatchedLoop, _watchdog)
# Not to where tests look for what a command of the client has said.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the services run on, with a watchdog."""
    return {"uvloop": _new_loop}


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Writes tracebacks without local variables, as the server does, and wants no secret in any entry."""
    before = structlog.get_config()["processors"]
    *processors, _ = before
    # Without them: chunks take seconds to print..
    watch, format_error = LogWatch(), structlog.processors.format_exc_info
    render = structlog.processors.KeyValueRenderer()
    structlog.configure(processors=[*processors, watch, format_error, render])
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


@pytest.fixture(autouse=True, scope="session")
def patient_peers() -> Iterator[None]:
    """A service that answers late, because the machine has other work, is not one that is away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access, "CHECK_SECONDS", PATIENCE_SECONDS)
        yield


@pytest.fixture(autouse=True, scope="session")
def open_metrics() -> Iterator[None]:
    """Wants no secret in the metrics, which a process gathers over all its tests."""
    yield
    check_metrics()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """DSN of a PostgreSQL of this test process, in memory: dropping databases on disk is slow."""
    # A suite connects dozens of times when it starts: each then saves 4,095 rounds of SHA-256.
    quick = {"scram_iterations": "1"}
    with (
        scratch_folder() as folder,
        EmbeddedPostgres(folder, durable=False, settings=quick) as server,
    ):
        query(server.dsn, f"ALTER ROLE CURRENT_USER PASSWORD '{urlsplit(server.dsn).password}'")
        yield server.dsn


@pytest.fixture
async def empty_database(postgres: str) -> AsyncIterator[str]:
    """DSN of a database without anything in it."""
    name = f"empty_{next(_numbers)}"
    await execute(postgres, f"CREATE DATABASE {name} STRATEGY file_copy")
    yield name_database(postgres, name)
    await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server of this test process, started for the first test that needs one."""
    with scratch_folder() as folder:
        process = S3Process(folder)
        try:
            yield process.wait_until_ready()
        finally:
            process.stop()


@pytest.fixture(scope="session")
async def template(postgres: str) -> str:
    """Name of a migrated database to clone."""
    await execute(postgres, "CREATE DATABASE migrated STRATEGY file_copy")
    await migrate(name_database(postgres, "migrated"))
    return "migrated"


@pytest.fixture
async def dsn(postgres: str, template: str) -> AsyncIterator[str]:
    """DSN of a fresh migrated database."""
    async with _cloned(postgres, template) as cloned:
        yield cloned


@pytest.fixture
async def second_dsn(postgres: str, template: str) -> AsyncIterator[str]:
    """DSN of another one, for a second cell."""
    async with _cloned(postgres, template) as cloned:
        yield cloned


@pytest.fixture(scope="session")
async def read_only_dsn(postgres: str, template: str) -> str:
    """DSN of a migrated database without rows that tests share, because they only read its catalogs."""
    await execute(postgres, f"CREATE DATABASE read_only TEMPLATE {template} STRATEGY file_copy")
    await execute(postgres, "ALTER DATABASE read_only SET default_transaction_read_only = on")
    return name_database(postgres, "read_only")


@asynccontextmanager
async def _cloned(postgres: str, template: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    await execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield name_database(postgres, name)
    await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(autouse=True, scope="session")
def quick_hashes() -> Iterator[None]:
    """Lets passwords cost next to nothing: most tests log in, and hardly one is about that."""
    with hash_quickly():
        yield


@pytest.fixture
def quick_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets workers look for jobs, and for leases that have expired, twenty times a second."""
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(worker_module, "EXPIRY_SECONDS", 0.05)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of the suite; a test module overrides this fixture to change them."""
    return default_settings(tmp_path)


@pytest.fixture
def key(settings: Settings) -> ServerKey:
    """The key of the suite."""
    return ServerKey.load(settings.server_key, settings.data_dir)


@pytest.fixture
async def databases(dsn: str) -> AsyncIterator[Databases]:
    async with open_databases(dsn) as databases:
        yield databases


@pytest.fixture
def database(databases: Databases) -> Database:
    """The one that there is."""
    (database,) = databases.every()
    return database


@pytest.fixture
def is_patched(request: pytest.FixtureRequest) -> bool:
    """Whether the test patches services; overridden where tests patch what no service sees."""
    return "monkeypatch" in request.fixturenames


@pytest.fixture
def api(request: pytest.FixtureRequest, tmp_path: Path, is_patched: bool) -> Api:
    """All four services with stubs, over a database with nothing in it; what they write is checked.

    The suite goes on for the next test, unless the test has settings, a database or patches of its own.
    """
    own = is_patched or not {"dsn", "settings"}.isdisjoint(request.fixturenames)
    own |= request.getfixturevalue("settings") != default_settings(tmp_path)
    running: Api = request.getfixturevalue("own_api" if own else "shared_api")
    return running


@pytest.fixture
async def own_api(dsn: str, settings: Settings) -> AsyncIterator[Api]:
    """A suite that starts and ends with the test."""
    async with running_suite(dsn, settings) as running:
        yield running
    await check_records(dsn)


@pytest.fixture(scope="session")
async def shared_suites(
    postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SharedSuites]:
    """The suite that tests share, and the next one when a test has spoiled it."""

    async def create_database() -> str:
        name = f"shared_{next(_numbers)}"
        await execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name_database(postgres, name)

    def choose_settings() -> Settings:
        return default_settings(tmp_path_factory.mktemp("shared"))

    suites = SharedSuites(create_database, choose_settings)
    yield suites
    await suites.stop()


@pytest.fixture
async def shared_api(shared_suites: SharedSuites) -> AsyncIterator[Api]:
    """The suite that others have used before, with its database as it was at the start."""
    async with shared_suites.lend() as running:
        yield running
