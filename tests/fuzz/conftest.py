"""A server to attack, one for each module, and a witness who must not notice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from tests.fuzz.probe import probing
from tests.fuzz.server import Server, running_server
from tests.fuzz.world import World, make_world, remote_api
from tests.support.api import Api
from tests.support.scratch_databases import name_database


@dataclass(frozen=True, slots=True)
class Target:
    """A server with something in it, and stubs."""

    server: Server
    api: Api
    world: World


@pytest.fixture(scope="module")
async def target(
    postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Target]:
    """A server in a process of its own; its end and what the witness saw are judged."""
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"CREATE DATABASE target TEMPLATE {template} STRATEGY file_copy")
    dsn = name_database(postgres, "target")
    folder: Path = tmp_path_factory.mktemp("target")
    try:
        with running_server(dsn, folder) as server:
            async with remote_api(server, dsn) as api:
                world = await make_world(api)
                address, token = server.addresses["repo"], world.witness.token
                with probing(address, token, world.witnessed.id) as waits:
                    yield Target(server, api, world)
            server.stop()
        waits.assert_served()
    finally:
        await connection.execute("DROP DATABASE target WITH (FORCE)")
        await connection.close()
