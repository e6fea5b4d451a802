"""Clones and pulls as they are on disks that do not tell cases of letters apart."""

from __future__ import annotations

import pytest

from dits_client.errors import ClientError
from dits_client.platform import MACOS, WINDOWS
from tests.support.api import Api
from tests.support.client import Person, read, write


async def test_a_folder_on_such_a_disk(api: Api, ada: Person) -> None:
    await api.repository(ada.account, "film", portable_names=False)
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"notes": b"1", "d/x": b"2", "aux.txt": b"3"})
    await ada.push("one", "ada/film")
    with pytest.raises(ClientError, match='txt" is the name of a device on Windows'):
        await ada.clone("ada/film", "three", platform=WINDOWS)
    assert read(ada.home / "three") == {}
    # The way out that the message names.
    await ada.clone("ada/film", "four", platform=WINDOWS, only=["notes", "d"])
    await ada.clone("ada/film", "two", platform=MACOS)
    # A file that is renamed in the case of its letters.
    write(one, {"notes": None, "Notes": b"1", "D/x": b"2", "d/x": None})
    await ada.push("one")
    await ada.pull("two", platform=MACOS)
    assert read(two) == read(one)
    write(one, {"NOTES": b"another"})
    await ada.push("one")
    with pytest.raises(ClientError, match='"NOTES" differs from "Notes" by the case'):
        await ada.pull("two", platform=MACOS)
    assert read(two).keys() == {"Notes", "D/x", "aux.txt"}
    assert await ada.changes("two") == []
    await ada.pull("two")
    assert read(two)["NOTES"] == (0o644, b"another")
