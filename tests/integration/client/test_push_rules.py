"""What the repository or the server would refuse is refused before anything is read or sent."""

from __future__ import annotations

import re

import pytest

from dits_client.errors import ClientError
from dits_client.workspace import read_files
from shared.formats import limits
from tests.support.api import Api
from tests.support.client import Person, write


@pytest.fixture
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a file fails the test."""

    def fail(*_: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(read_files.FileReader, "read_file", fail)


@pytest.fixture
def is_patched(request: pytest.FixtureRequest) -> bool:
    """Whether the test patches the server, too."""
    return "small_limits" in request.fixturenames


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is started from now on takes little."""
    monkeypatch.setattr(limits, "MAX_TREE_ENTRIES", 5)
    monkeypatch.setattr(limits, "MAX_FILE_CHUNKS", 2)


async def chunks_there(api: Api) -> int:
    """How many chunks the server has."""
    count: int = await api.value("SELECT count(*) FROM chunks")
    return count


async def test_names_that_other_systems_cannot_store_are_named_together(
    ada: Person, film: str
) -> None:
    folder = ada.home / "one"
    names = ["shots/a:b", "shots/CON.txt", "end./x", "README", "readme", "fine/ok"]
    write(folder, dict.fromkeys(names, b"1"))
    report = await ada.push("one", film)
    assert report.changed == 1
    assert [re.findall(r'"([^"]*)"', line)[0] for line in report.left_out] == [
        "end.",
        "shots/CON.txt",
        "shots/a:b",
        "readme",
    ]


async def test_what_is_there_already_is_judged_when_it_is_written(
    api: Api, ada: Person, film: str
) -> None:
    set_rule = "UPDATE repository_settings SET portable_names = $1"
    await api.fetch(set_rule, False)
    folder = ada.home / "one"
    write(folder, {"a:b": b"1", "c": b"1"})
    await ada.push("one", film)
    await api.fetch(set_rule, True)
    write(folder, {"c": b"22"})
    await ada.push("one")
    write(folder, {"a:b": b"333"})
    with pytest.raises(ClientError, match="a:b"):
        await ada.push("one")
    # Names are shown as people know them.
    write(folder, {"a:b": None, "d\u00fc/a:b": b"1"})
    (told,) = (await ada.push("one")).left_out
    assert told.startswith('the name "d\u00fc/a:b" has the character')


async def test_a_folder_above_the_servers_limit(
    small_limits: None, api: Api, ada: Person, film: str, nothing_is_read: None
) -> None:
    write(ada.home / "one", {f"d/{number}": b"1" for number in range(5)})
    with pytest.raises(ClientError, match="has 6 files and folders: the server takes 5"):
        await ada.push("one", film)
    assert await chunks_there(api) == 0


async def test_a_file_above_the_servers_limit(
    small_limits: None, ada: Person, film: str, nothing_is_read: None
) -> None:
    write(ada.home / "one", {"d/large": b""})
    with (ada.home / "one/d/large").open("wb") as file:
        file.truncate((512 << 10) + 1)
    with pytest.raises(ClientError, match='"d/large" is too large: the server takes files of 2'):
        await ada.push("one", film)
