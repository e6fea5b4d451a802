"""Everything about a repository goes to the addresses that hold it, wherever the client logged in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest

from dits_client.errors import RemoteError
from dits_client.server.client import Client
from dits_client.server.locks import list_locks
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.objects import Objects
from dits_client.workspace.trees import Trees
from shared.runtime.config import Settings
from tests.support import trees
from tests.support.cells import Cells, move_to, running_cells
from tests.support.client import Person, read, write
from tests.support.waiting import PATIENCE_SECONDS

NOWHERE = "127.0.0.1:1"


@pytest.fixture
async def cells(dsn: str, settings: Settings) -> AsyncIterator[Cells]:
    async with running_cells(dsn, settings) as running:
        yield running


async def test_a_repository_is_called_where_the_server_says(cells: Cells, tmp_path: Path) -> None:
    account = await cells.account_in_second("eve")
    await cells.second.repository(account, "film", must_lock=True)
    elsewhere = dict.fromkeys(("repo", "chunk", "lock"), NOWHERE)
    with Person(cells.first, account, tmp_path / "eve", **elsewhere) as eve:
        write(eve.home / "one", {"a": b"1", "b/c": b"2"})
        await eve.push("one", "eve/film")
        await eve.clone("eve/film", "two")
        write(eve.home / "two", {"a": b"11", "b/c": None})
        assert (await eve.push("two")).pushed
        await eve.pull("one")
        assert await eve.changes("one") == []
        assert read(eve.home / "one") == read(eve.home / "two")


async def test_what_the_user_named_counts_more(cells: Cells, tmp_path: Path) -> None:
    account = await cells.account_in_second("eve")
    await cells.second.repository(account, "film")
    with Person(cells.first, account, tmp_path / "eve") as eve:
        eve.client = Client(replace(eve.client.endpoints, named=("chunk", "repo")), account.token)
        write(eve.home / "one", {"a": b"1"})
        with pytest.raises(RemoteError, match="is in cell 1, and this server holds cell 0"):
            await eve.push("one", "eve/film")


async def test_a_repository_that_moves_during_a_command_is_located_again(
    cells: Cells, tmp_path: Path
) -> None:
    account = await cells.first.account("ada")
    repository = await cells.first.repository(account, "film")
    commit = await trees.save(cells.first, account, repository, {"a": "1"})
    # A credential that the services have not seen: they remember answers about one for a while.
    token = await cells.first.api_token(account, "repo:write", "lock:write")
    with Person(cells.first, token, tmp_path / "ada") as ada:
        clients = [RepositoryClient(ada.client, "ada/film") for _ in range(3)]
        calls: list[Callable[[], object]] = [
            clients[0].get_info,
            lambda: list(list_locks(clients[1])),
            lambda: Trees(Objects(), lambda: clients[2], "").fetch_tree(commit),
        ]
        for client in clients:
            found = await asyncio.to_thread(attrgetter("endpoints"), client)
            assert found.repo == cells.first.addresses["repo"]
        await move_to(cells.first, account, 1)
        for call in calls:
            await asyncio.to_thread(call)
        addresses = {client.endpoints.repo for client in clients}
        assert addresses == {cells.second.addresses["repo"]}


async def test_a_repository_may_move_more_than_once(cells: Cells, tmp_path: Path) -> None:
    account = await cells.first.account("ada")
    await cells.first.repository(account, "film")
    with Person(cells.first, account, tmp_path / "ada") as ada:
        client = RepositoryClient(ada.client, "ada/film")
        assert (await asyncio.to_thread(client.get_info)).name == "ada/film"
        for number, cell in ((1, cells.second), (0, cells.first), (1, cells.second)):
            await move_to(cells.first, account, number)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while client.endpoints.repo != cell.addresses["repo"]:
                    # The services may remember for a moment where it was.
                    with suppress(RemoteError):
                        await asyncio.to_thread(client.get_info)
