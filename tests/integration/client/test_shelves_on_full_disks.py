"""A disk that is full while changes are put aside: they are kept, and the sentence says where."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dits_client.checkout.new_files import NewFiles
from dits_client.errors import ClientError
from dits_client.server.repository import RepositoryClient
from dits_client.shelves import ShelfReport, list_shelves, shelve_folder, unshelve_folder
from dits_client.workspace.workspace import Workspace
from tests.support.client import Person, read, read_files, write


async def shelve(who: Person, folder: Path, shelf: str = "ada/x") -> ShelfReport:
    return await asyncio.to_thread(shelve_folder, folder, who.client, shelf)


async def unshelve(who: Person, folder: Path) -> ShelfReport:
    return await asyncio.to_thread(unshelve_folder, folder, who.client, "ada/x")


async def names(who: Person, film: str) -> list[str]:
    found = await asyncio.to_thread(lambda: list(list_shelves(RepositoryClient(who.client, film))))
    return [name for name, _ in found]


async def test_a_full_disk_keeps_the_changes_and_says_where_they_are(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ada.home / "one"
    write(one, {"a": b"1", "b": b"2"})
    await ada.push("one", film)
    write(one, {"a": b"edited", "b": None, "new": b"3"})
    changed = read(one)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Workspace, "save", fail)
        with pytest.raises(ClientError, match=r"still here.*run `dits unshelve ada/x`"):
            await shelve(ada, one)
    assert (read(one), await names(ada, film)) == (changed, ["ada/x"])
    await unshelve(ada, one)
    assert (read(one), await names(ada, film)) == (changed, [])
    with monkeypatch.context() as full:
        full.setattr(NewFiles, "_rename_into_place", fail)
        with pytest.raises(ClientError, match=r"no space.*\(the changes are .*unshelve ada/x"):
            await shelve(ada, one)
    # What the sentence advises: the same command does the rest.
    report = await shelve(ada, one, "ada/another")
    assert (report.shelf, await ada.changes("one")) == ("ada/x", [])
    assert read_files(one) == {"a": b"1", "b": b"2"}
    await unshelve(ada, one)
    assert read(one) == changed
