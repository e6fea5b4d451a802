"""`dits-server`: runs the services and looks after their database.

The services take most of a second to load: only what runs them imports them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any

import asyncpg
import structlog
import uvloop

from migrations import runner, status
from migrations.files import MigrationError
from migrations.restored import adopt_restored
from services import database
from services.admin.commands import add_commands
from shared.db.listen import Listener
from shared.db.pool import UNREACHABLE
from shared.jobs.catalog import QUEUES
from shared.postgres.embedded import EmbeddedPostgresError
from shared.runtime import config, logs
from shared.runtime.config import SERVICES, ConfigError, Settings
from shared.runtime.metrics_endpoint import metrics_endpoint
from shared.runtime.process import (
    StartError,
    limit_threads,
    lower_priority,
    prepare_process,
    serve_until_signal,
)
from shared.runtime.server_key import ServerKey
from shared.runtime.setting_names import find_mistyped
from shared.runtime.setting_types import name_database

log = structlog.get_logger(__name__)

_NO_DATABASE_TO_SERVE = (
    "One service alone needs a database that the others share: set DITS_DATABASE_URL, "
    "or run all four with `dits-server up`."
)
_NO_DATABASE_TO_WORK = (
    "A worker needs the database of the services: set DITS_DATABASE_URL, for them too. `dits-server up` "
    "runs a worker of its own, and its embedded database is for no other process."
)
_EXPECTED = (ConfigError, StartError, EmbeddedPostgresError, MigrationError)


def main() -> None:
    """Runs one command; what goes wrong is one sentence and exit status 1."""
    arguments = _parser().parse_args()
    prepare_process()
    settings = None
    try:
        settings = config.load(vars(arguments))
        logs.configure(settings)
        for variable, meant in find_mistyped(os.environ, Settings.model_fields):
            log.warning("an environment variable is no setting", variable=variable, meant=meant)
        arguments.run(settings, arguments)
    except _EXPECTED as error:
        sys.exit(f"dits-server: {error}")
    except BrokenPipeError:
        # Whoever read our output has had enough; nothing more can be written, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (*UNREACHABLE, asyncpg.PostgresError) as error:
        url = None if settings is None else settings.database_url
        where = f" at {name_database(url)}" if url else ""
        sys.exit(f"dits-server: The database{where} cannot be used: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dits-server", description="The server side of dits, version control for large media."
    )
    release = f"dits-server {version('dits-server')}"
    parser.add_argument("--version", action="version", version=release, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[Settings, Any], None], about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(run=run)
        config.add_options(command)
        return command

    up_ = add(
        "up", _up, "Run all four services, on an embedded PostgreSQL unless one is configured."
    )
    serve = add("serve", _serve, "Run one service; it needs --database-url.")
    serve.add_argument("service", choices=sorted(SERVICES), help="which one")
    for command in (up_, serve):
        command.add_argument(
            "--no-worker",
            dest="worker",
            action="store_const",
            const=False,
            default=argparse.SUPPRESS,
            help="serve without working on jobs: `dits-server worker` does that elsewhere",
        )
    worker = add("worker", _work, "Work on jobs and serve nothing; it needs --database-url.")
    _add_worker_options(worker)
    migrate = add("migrate", _migrate, "Bring the database up to date.")
    migrate.add_argument("--status", action="store_true", help="only tell what is applied")
    add_commands(commands)
    return parser


def _add_worker_options(worker: argparse.ArgumentParser) -> None:
    worker.add_argument(
        "--queue",
        action="append",
        choices=sorted(QUEUES),
        help="work on this queue; may be given several times; default: on all",
    )
    worker.add_argument(
        "--nice",
        type=int,
        choices=range(20),
        default=0,
        metavar="0…19",
        help="let other processes have the processors first, the more the higher; default: 0",
    )
    worker.add_argument("--ends-with-stdin", action="store_true", help=argparse.SUPPRESS)


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        limit_threads(loop.get_loop())
        loop.run(work)


def _up(settings: Settings, arguments: argparse.Namespace) -> None:
    from services import up

    with database.database(settings) as (dsn, postgres):
        _run(up.serve(settings, vars(arguments), dsn, postgres))


def _serve(settings: Settings, arguments: argparse.Namespace) -> None:
    _run(_serve_one(settings, arguments.service))


async def _serve_one(settings: Settings, name: str) -> None:
    from services.suite import SERVICES, addresses
    from shared.server import Runtime

    dsn = _configured_database(settings, _NO_DATABASE_TO_SERVE)
    key = ServerKey.load(settings.server_key, settings.data_dir, settings.accepted_server_key)
    await database.check_schema(dsn)
    service = SERVICES[name]
    where = addresses(settings, service.NEEDS)
    server = await service.build(Runtime(settings, dsn, key, Listener(dsn), where))
    async with metrics_endpoint(settings):
        await server.start()
        await serve_until_signal(server.stop)


def _work(settings: Settings, arguments: argparse.Namespace) -> None:
    _run(_work_on(settings, arguments))


async def _work_on(settings: Settings, arguments: argparse.Namespace) -> None:
    from services.suite import build_workers
    from shared.server import Runtime

    dsn = _configured_database(settings, _NO_DATABASE_TO_WORK)
    key = ServerKey.load(settings.server_key, settings.data_dir, settings.accepted_server_key)
    await database.check_schema(dsn)
    workers = await build_workers(Runtime(settings, dsn, key, Listener(dsn)), arguments.queue)

    async def stop() -> None:
        await asyncio.gather(*(worker.stop() for worker in workers))

    async with metrics_endpoint(settings):
        for worker in workers:
            await worker.start()
        # Not before: to get ready takes two seconds of a processor, and jobs may wait for it.
        lower_priority(arguments.nice)
        await serve_until_signal(stop, ends_with_stdin=arguments.ends_with_stdin)


def _migrate(settings: Settings, arguments: argparse.Namespace) -> None:
    with database.database(settings) as (dsn, _postgres):
        if arguments.status:
            for row in asyncio.run(status.read_status(dsn)):
                when = f"{row.applied_at:%Y-%m-%d %H:%M}" if row.applied_at else ""
                print(f"{row.version or '':>6}  {row.state:<8}  {when:<16}  {row.description}")
            return
        applied = asyncio.run(runner.migrate(dsn))
        for file in applied:
            print(f"applied {file.name}")
        if asyncio.run(adopt_restored(dsn)):
            print("the events of the restored dump have numbers of this server now")
            print(
                "the packs are still those of the database that was dumped: if it is gone for good, "
                "`dits-server store adopt`; if not, give this one a copy of them"
            )
        print("the database is up to date")


def _configured_database(settings: Settings, problem: str) -> str:
    if settings.database_url is None:
        raise ConfigError(problem)
    return settings.database_url


if __name__ == "__main__":
    main()
