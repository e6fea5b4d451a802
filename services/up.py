"""`dits-server up`: everything on one machine, in the foreground."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from dits.auth.v1.account_service_pb2 import RegisterRequest
from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub

from migrations.restored import adopt_restored
from migrations.runner import migrate
from services.suite import Suite
from services.worker_process import WorkerProcess
from shared.db.listen import Listener
from shared.errors import DomainError
from shared.postgres.embedded import EmbeddedPostgres
from shared.rpc import validation
from shared.rpc.peers import connect
from shared.runtime.config import SERVICES, Settings
from shared.runtime.metrics_endpoint import metrics_endpoint
from shared.runtime.process import StartError, serve_until_signal
from shared.runtime.server_key import ServerKey
from shared.server import Runtime

log = structlog.get_logger(__name__)

WATCH_SECONDS = 1.0


async def serve(
    settings: Settings, given: Mapping[str, Any], dsn: str, postgres: EmbeddedPostgres | None
) -> None:
    """Migrates, starts the four services, says what to do next, and serves until told to stop.

    `given`: the settings of the command line. A worker, if they want one, runs in a process of its own.
    """
    await migrate(dsn)
    await adopt_restored(dsn)
    key = ServerKey.load(settings.server_key, settings.data_dir, settings.accepted_server_key)
    serving = settings.model_copy(update={"worker": False})
    suite = Suite(Runtime(serving, dsn, key, Listener(dsn)))
    async with metrics_endpoint(settings):
        await suite.start()
        account = await _first_account(settings, suite, dsn)
        _greet(settings, suite, account)
        worker = None
        if settings.worker:
            worker = WorkerProcess(settings, given, dsn, suite.addresses)
            worker.start()
        await _serve_until_end(suite, postgres, worker)


async def _serve_until_end(
    suite: Suite, postgres: EmbeddedPostgres | None, worker: WorkerProcess | None
) -> None:
    stops = [suite.stop] if worker is None else [suite.stop, worker.stop]
    work = [serve_until_signal(partial(_stop_all, stops))]
    if postgres is not None:
        work.append(_keep_running(postgres))
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in done:
        task.result()


async def _stop_all(stops: Sequence[Callable[[], Awaitable[None]]]) -> None:
    await asyncio.gather(*(stop() for stop in stops))


async def _keep_running(postgres: EmbeddedPostgres) -> None:
    """Starts the embedded database again if it dies; the services wait and reconnect.

    Ends, with an error, when it cannot be had again where the services look for it.
    """
    dsn = postgres.dsn
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if postgres.poll() is not None:
            log.error("the embedded database died; starting it again")
            # It must be started by the main thread, which runs this loop: calls wait meanwhile.
            if postgres.start() != dsn:
                raise StartError(
                    "Another program took the port of the embedded database; start again."
                )


async def _first_account(settings: Settings, suite: Suite, dsn: str) -> tuple[str, Path] | None:
    """Opens an account in an empty database; returns its name and the file with its password."""
    connection = await asyncpg.connect(dsn)
    try:
        has_users = await connection.fetchval("SELECT EXISTS (SELECT FROM users)")
    finally:
        await connection.close()
    file = settings.data_dir / "first-account"
    if has_users or not settings.registration_open:
        return None
    username, password = _local_name(), secrets.token_urlsafe(15)
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(password + "\n")
    request = RegisterRequest(
        username=username, email=f"{username}@localhost", password=password, name=username
    )
    async with connect(suite.addresses["auth"]) as auth:
        await AccountServiceStub(auth).Register(request)
    return username, file


def _local_name() -> str:
    """The name of the person at the keyboard, if it can be a username."""
    try:
        name = re.sub("[^A-Za-z0-9]+", "-", getpass.getuser()).strip("-")
        return validation.username("username", name)
    except (DomainError, OSError, KeyError):
        return "artist"


def _greet(settings: Settings, suite: Suite, account: tuple[str, Path] | None) -> None:
    """Says where the services are and what to type next."""
    where = settings.database_url or f"embedded PostgreSQL in {settings.data_dir.resolve()}"
    where = re.sub(r"//[^@/]*@", "//", where)
    lines = ["", "dits-server is ready.", "", f"  data    {where}"]
    lines += [
        f"  {name:<6}  {address}" for name, address in ((n, suite.addresses[n]) for n in SERVICES)
    ]
    login = "dits login " + suite.addresses["auth"]
    if account is not None:
        username, file = account
        lines += ["", f"A first account is open: {username}; its password is in {file}."]
        login += f" --username {username} --password-stdin < {file}"
    lines += [
        "",
        "In another terminal, with .venv/bin on the PATH:",
        f"  {login}",
        "  dits repo create first",
        "  cd YOUR-FOLDER && dits init --repository first && dits push -m 'First version'",
        "",
        "Ctrl-C stops the server; the data stays.",
        "",
    ]
    print("\n".join(lines), flush=True)
