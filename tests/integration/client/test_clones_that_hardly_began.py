"""Clones that were killed before there was a workspace: the same command makes them whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from dits_client.errors import ClientError
from tests.support.client import Person, Run, read, write
from tests.support.killed_command import run_killed


# Before the folder's own, what is in it, and its state.
@pytest.mark.parametrize(
    "where", ["two/.dits'", ".dits/checkout'", ".dits/.state.json-", ".dits/state.json'"]
)
async def test_a_clone_goes_on_wherever_it_was_killed(ada: Person, film: str, where: str) -> None:
    write(ada.home / "one", {"a": b"1", "d/b": b"2"})
    await ada.push("one", film)
    assert await run_killed(ada.environ, ada.home, where, "clone", film, "two")
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")
    assert await ada.changes("two") == []


async def test_another_folder_of_that_name_is_left_alone(ada: Person, film: str) -> None:
    for number, path in enumerate([".dits", ".dits/index", "checkout"]):
        write(ada.home / f"two{number}", {path: b"mine"})
        with pytest.raises(ClientError, match=r"is not empty$"):
            await ada.clone(film, f"two{number}")
        assert (ada.home / f"two{number}" / path).read_bytes() == b"mine"


@pytest.mark.usefixtures("logged_in")
async def test_such_a_folder_can_become_another(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home / "film", {".dits/checkout": b"", "a": b"1"})
    await run("repo", "create", "film")
    monkeypatch.chdir(home / "film")
    await run("init")
    assert "1 changed" in await run("push")
