"""Everything about a repository goes to the addresses that hold it, wherever the client logged in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dits_client.errors import RemoteError
from dits_client.server.client import Client
from shared.runtime.config import Settings
from tests.support.cells import Cells, running_cells
from tests.support.client import Person, read, write

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
