"""Folders whose repository gets another name, or whose name another repository gets."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dits_client.errors import ClientError, RemoteError
from tests.support.api import Api
from tests.support.client import NOISE, Person, Run, read, write


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_a_repository_that_gets_the_name_is_not_taken_for_that_of_a_folder(
    api: Api, ada: Person, film: str, is_deleted: bool
) -> None:
    one = ada.home / "one"
    write(one, {"a": NOISE, "b": b"2"})
    await ada.push("one", film)
    await api.fetch(
        """UPDATE repositories SET name = 'movie', deleted_at = CASE WHEN $1 THEN now() END
           WHERE name = 'film'""",
        is_deleted,
    )
    await api.repository(ada.account, "film")
    write(ada.home / "other", {"c": b"3"})
    await ada.push("other", film)
    before = read(one)
    if is_deleted:
        for refused in (ada.pull("one"), ada.pull("one", force=True), ada.push("one")):
            with pytest.raises(RemoteError, match="was deleted, or this account may not read it"):
                await refused
    else:
        assert (await ada.pull("one")).files == 0
        write(one, {"mine": b"4"})
        assert (await ada.push("one")).pushed
    assert read(one).items() >= before.items()
    assert json.loads((one / ".dits/state.json").read_text())["repository"] == (
        film if is_deleted else "ada/movie"
    )


async def test_commands_in_a_folder_find_the_repository_that_was_renamed(
    api: Api, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("login", "--register", "-u", "ada", "--email", "ada@example.org")
    await run("repo", "create", "film", "--no-require-lock")
    write(home / "one", {"a": b"1"})
    monkeypatch.chdir(home / "one")
    await run("init", "--repository", "film")
    await run("push", "-m", "First")
    await api.fetch("UPDATE repositories SET name = 'movie' WHERE name = 'film'")
    await run("repo", "create", "film")
    assert "First" in await run("log")
    await run("lock", "a")
    await run("tag", "create", "v1")
    assert "v1" in await run("tag", "list")


async def test_commands_say_once_that_the_repository_was_deleted(
    api: Api, run: Run, film_folder: Path
) -> None:
    await api.fetch("UPDATE repositories SET deleted_at = now()")
    for changed in (False, True):
        if changed:
            write(film_folder, {"new": b"1"})
        for line in (["push"], ["pull"], ["undo"], ["get", "a"], ["switch", "side"], ["log"]):
            told = await run(*line, fails=True)
            assert told.count("the repository was not found") == told.count("\n") == 1, told


@pytest.mark.parametrize(
    "act",
    [
        lambda ada: ada.pull("one"),
        lambda ada: ada.push("one"),
        lambda ada: ada.switch("one", "main"),
    ],
)
async def test_a_folder_that_knows_only_the_name_learns_the_uuid(
    api: Api, ada: Person, film: str, act: Callable[[Person], Awaitable[object]]
) -> None:
    one = ada.home / "one"
    write(one, {"a": b"1"})
    await ada.push("one", film)
    path = one / ".dits/state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps(state | {"repository_id": ""}))
    write(one, {"a": b"2"})
    await act(ada)
    assert json.loads(path.read_text())["repository_id"] == state["repository_id"] != ""


async def test_the_uuid_of_one_that_only_has_the_name_is_not_taken(
    api: Api, ada: Person, film: str
) -> None:
    one = ada.home / "one"
    write(one, {"a": b"1"})
    await ada.push("one", film)
    path = one / ".dits/state.json"
    state = json.loads(path.read_text()) | {"repository_id": ""}
    path.write_text(json.dumps(state))
    await api.fetch("UPDATE repositories SET name = 'movie' WHERE name = 'film'")
    await api.repository(ada.account, "film")
    with pytest.raises(ClientError):
        await ada.pull("one")
    assert json.loads(path.read_text()) == state
