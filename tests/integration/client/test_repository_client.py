"""Everything about a repository goes to the addresses that hold it, wherever the client logged in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dits_client.server.client import Client
from dits_client.server.endpoints import Endpoints
from tests.support.api import Api
from tests.support.client import Person, read, write

NOWHERE = "127.0.0.1:1"


class TwoPlaces(Client):
    """A client whose login is in one place and whose repositories are in another."""

    def __init__(self, endpoints: Endpoints, token: str) -> None:
        super().__init__(replace(endpoints, repo=NOWHERE, chunk=NOWHERE, lock=NOWHERE), token)
        self.elsewhere = replace(endpoints, auth=NOWHERE)
        self.asked: list[str] = []

    def locate_repository(self, repository: str) -> Endpoints:
        self.asked.append(repository)
        return self.elsewhere


async def test_a_repository_is_called_where_it_lies(api: Api, tmp_path: Path) -> None:
    account = await api.account("ada")
    await api.repository(account, "film", must_lock=True)
    with Person(api, account, tmp_path / "ada") as ada:
        client = TwoPlaces(ada.client.endpoints, account.token)
        ada.client = client
        write(ada.home / "one", {"a": b"1", "b/c": b"2"})
        await ada.push("one", "ada/film")
        await ada.clone("ada/film", "two")
        write(ada.home / "two", {"a": b"11", "b/c": None})
        assert (await ada.push("two")).pushed
        await ada.pull("one")
        assert await ada.changes("one") == []
        assert read(ada.home / "one") == read(ada.home / "two")
    assert set(client.asked) == {"ada/film"}
