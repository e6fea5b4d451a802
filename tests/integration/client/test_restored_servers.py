"""The server's database was restored from a backup: it does not know what folders have pushed since."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dits_client.checkout.include import exclude_paths
from dits_client.checkout.restore import restore_paths
from dits_client.errors import ClientError
from dits_client.shelves import shelve_folder
from tests.support.api import Api
from tests.support.client import Person, Run, read, write


async def lose_last_commit(api: Api) -> None:
    """Bring the branch to the parent of its head, and forget that head."""
    ((lost, before),) = await api.fetch(
        """SELECT c.hash, c.parent_hashes[1] FROM commits c
           JOIN branches b ON b.repo_id = c.repo_id AND b.head_commit = c.hash"""
    )
    await api.fetch("UPDATE branches SET head_commit = $1", before)
    await api.fetch("DELETE FROM former_heads")
    await api.fetch("DELETE FROM commits WHERE hash = $1", lost)


@pytest.fixture
async def one(api: Api, ada: Person, film: str) -> Path:
    """A folder whose last commit the server has lost."""
    one = ada.home / "one"
    write(one, {"a": b"1", "b": b"2", "d/c": b"3"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(one, {"a": b"lost", "b": None, "new": b"lost, too", "d/c": b"3"})
    await ada.push("one")
    await lose_last_commit(api)
    return one


async def test_what_only_a_folder_has_is_brought_again(ada: Person, one: Path) -> None:
    before = read(one)
    told = "does not know the commit .* `dits pull --keep`"
    for refused in (
        ada.pull("one"),
        ada.switch("one", "main"),
        ada.push("one", force=True),
        ada.push("one", branch="side"),
        ada.push("one"),
        ada.switch("one", "new", create=True),
        asyncio.to_thread(restore_paths, one, ada.client, ["a"]),
        asyncio.to_thread(exclude_paths, one, ada.client, ["d"]),
    ):
        with pytest.raises(ClientError, match=told):
            await refused
    write(one, {"a": b"edited since"})
    with pytest.raises(ClientError, match=told):
        await asyncio.to_thread(shelve_folder, one, ada.client, "s")
    with pytest.raises(ClientError, match=told):
        await ada.push("one")
    assert await ada.changes("one") == ["a"]
    # Others go on meanwhile.
    write(ada.home / "two", {"d/c": b"theirs", "d/e": b"theirs"})
    await ada.push("two")
    await ada.pull("one", keep=True)
    kept = {"a": (0o644, b"edited since"), "b": (0o644, b"2"), "d/e": (0o644, b"theirs")}
    assert read(one) == before | kept
    assert await ada.changes("one") == ["a", "d/c", "new"]
    with pytest.raises(ClientError, match="knows the commit"):
        await ada.pull("one", keep=True)
    await ada.push("one")
    await ada.pull("two")
    assert read(ada.home / "two") == read(one)


@pytest.mark.parametrize("has_index", [True, False])
async def test_a_part_of_a_repository_is_brought_again(
    api: Api, ada: Person, film: str, has_index: bool
) -> None:
    write(ada.home / "one", {"a": b"1", "d/c": b"3", "d/e/f": b"4", "g": b"5"})
    await ada.push("one", film)
    part = ada.home / "part"
    await ada.clone(film, "part", only=["d/e", "g"])
    write(part, {"d/e/f": b"lost", "g": None, "d/e/new": b"lost, too"})
    await ada.push("part")
    await lose_last_commit(api)
    if not has_index:
        (part / ".dits/index").unlink()
    with pytest.raises(ClientError, match="does not know the commit"):
        await ada.pull("part")
    await ada.pull("part", keep=True)
    assert await ada.changes("part") == ["d/e/f", "d/e/new"]
    assert (await ada.push("part")).changed == 2
    await ada.pull("one")
    assert {path: found[1] for path, found in read(ada.home / "one").items()} == {
        "a": b"1",
        "d/c": b"3",
        "d/e/f": b"lost",
        "d/e/new": b"lost, too",
        "g": b"5",
    }


async def test_the_servers_older_state_is_taken_by_force_alone(ada: Person, one: Path) -> None:
    await ada.pull("one", force=True)
    # New files stay, also those that the server had once.
    assert read(one) == read(ada.home / "two") | {"new": (0o644, b"lost, too")}
    assert await ada.changes("one") == ["new"]


async def test_locks_and_the_doctor_tell_of_a_lost_commit(
    api: Api, run: Run, film_folder: Path
) -> None:
    write(film_folder, {"a": b"lost"})
    await run("push")
    await lose_last_commit(api)
    assert "`dits pull --keep` follows main" in await run("lock", "a", fails=1)
    assert "1 thing is wrong" in await run("doctor", fails=1)


async def test_keeping_goes_without_force(run: Run) -> None:
    assert "goes without" in await run("pull", "--keep", "--force", fails=2)
