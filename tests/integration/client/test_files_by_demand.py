"""Files that the first clone leaves out, by patterns of the repository, and `dits fetch` brings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dits_client.checkout.restore import restore_paths
from dits_client.checkout.waiting_files import FetchReport, fetch_paths
from dits_client.errors import ClientError, ConflictError
from dits_client.shelves import shelve_folder, unshelve_folder
from dits_client.undo import undo_commit
from tests.support.client import Person, Run, read, write

FILES = {"top": b"0", "a/x": b"1", "a/big.exr": b"2", "renders/r1": b"3", "renders/deep/r2": b"4"}
WAITING = {"a/big.exr", "renders/r1", "renders/deep/r2"}


async def fetch(who: Person, folder: str, *paths: str) -> FetchReport:
    return await asyncio.to_thread(fetch_paths, who.home / folder, who.client, paths)


@pytest.fixture
async def folders(
    ada: Person, run: Run, film: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """A folder with everything, and a clone with what does not wait."""
    monkeypatch.setenv("DITS_TOKEN", ada.account.token)
    write(ada.home / "one", FILES)
    await ada.push("one", film)
    await run("repo", "settings", film, "--on-demand-patterns", "/renders/", "*.exr")
    assert "on demand        /renders/ *.exr" in await run("repo", "settings", film)
    assert (await ada.clone(film, "two")).files == 2
    return ada.home / "one", ada.home / "two"


async def test_what_waits_is_never_deleted(ada: Person, folders: tuple[Path, Path]) -> None:
    one, two = folders
    assert set(read(two)) == set(FILES) - WAITING
    status = await ada.status("two")
    assert (set(status.waiting), status.deleted) == (WAITING, [])
    # What a user makes is pushed, pattern or not.
    write(two, {"renders/mine": b"mine", "a/x": b"edit"})
    assert (await ada.push("two")).changed == 2
    await ada.pull("one")
    write(one, {"renders/r1": b"newer", "renders/late": b"late", "renders/deep/r2": None})
    await ada.push("one")
    await ada.pull("two")
    assert set((await ada.status("two")).waiting) == {"renders/r1", "renders/late", "a/big.exr"}
    assert await ada.changes("two") == []
    # Neither is what is below a folder that is gone from the disk; without an index, the server is asked.
    write(two, {"a/x": None, "renders/mine": None})
    (two / "a").rmdir()
    (two / ".dits/index").unlink()
    assert await ada.changes("two") == ["a/x", "renders/mine"]


async def test_what_is_fetched_is_a_file_as_others(
    ada: Person, folders: tuple[Path, Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = folders
    monkeypatch.chdir(two)
    assert "Waiting for `dits fetch PATH`: 3 files." in await run("status")
    with pytest.raises(ClientError, match='no file waits at "top"'):
        await fetch(ada, "two", "top")
    # A file of the user's is in the way; one with the same content is not.
    write(two, {"renders/r1": b"other"})
    with pytest.raises(ConflictError):
        await fetch(ada, "two", "renders")
    write(two, {"renders/r1": b"3"})
    assert "Fetched 1 file, 1 B; 1 wait." in await run("fetch", "renders")
    assert read(two)["renders/deep/r2"] == (0o644, b"4")
    write(one, {"renders/r1": b"newest"})
    await ada.push("one")
    await ada.pull("two")
    assert read(two)["renders/r1"] == (0o644, b"newest")
    write(two, {"renders/r1": None})
    assert await ada.changes("two") == ["renders/r1"]
    await ada.push("two")
    await ada.pull("one")
    assert set(read(one)) == set(read(two)) | {"a/big.exr"}
    # What waits is not on the disk, so no pattern of a shell names it.
    assert "Fetched 1 file" in await run("fetch", ".")
    assert read(one) == read(two)
    assert 'no file waits at "."' in await run("fetch", ".", fails=1)


async def test_what_is_there_instead_is_brought_up_to_date(
    ada: Person, folders: tuple[Path, Path]
) -> None:
    """What stands where a file waited is a file as others: no older version of it stays behind."""
    one, two = folders
    write(two, {"renders/r1": b"mine", "renders/deep/r2": FILES["renders/deep/r2"]})
    await ada.push("two")
    await ada.pull("one")
    write(one, {"renders/r1": b"a colleague's", "renders/deep/r2": b"newer"})
    await ada.push("one")
    assert (await ada.pull("two")).files == 2
    assert read(two)["renders/r1"] == (0o644, b"a colleague's")
    assert read(two)["renders/deep/r2"] == (0o644, b"newer")
    assert await ada.changes("two") == []
    assert (await ada.status("two")).waiting == ["a/big.exr"]
    assert not (await ada.push("two")).pushed


async def test_shelve_and_force_take_back_what_is_there_instead(
    ada: Person, folders: tuple[Path, Path]
) -> None:
    _, two = folders
    write(two, {"renders/r1": b"mine"})
    await asyncio.to_thread(shelve_folder, two, ada.client, "ada/aside")
    assert await ada.changes("two") == []
    await asyncio.to_thread(unshelve_folder, two, ada.client, "ada/aside")
    assert await ada.changes("two") == ["renders/r1"]
    write(two, {"a/big.exr": b"mine, too"})
    await ada.pull("two", force=True)
    assert await ada.changes("two") == []
    assert {name: content for name, content in read(two).items() if name in WAITING} == {
        "renders/r1": (0o644, b"3"),
        "a/big.exr": (0o644, b"2"),
    }


async def test_a_folder_of_which_a_part_waits_is_renamed_as_a_whole(
    ada: Person, folders: tuple[Path, Path]
) -> None:
    _, two = folders
    (two / "a").rename(two / "A")
    with pytest.raises(ClientError, match="`dits fetch`"):
        await ada.push("two")
    (two / "A").rename(two / "a")
    await fetch(ada, "two", "a")
    (two / "a").rename(two / "A")
    assert (await ada.push("two")).changed == 4


async def test_restore_brings_what_waits(ada: Person, folders: tuple[Path, Path]) -> None:
    _, two = folders
    found = await asyncio.to_thread(restore_paths, two, ada.client, ["renders"])
    # All below a folder may be too much.
    assert (found.files, "renders/r1" in read(two)) == (0, False)
    found = await asyncio.to_thread(restore_paths, two, ada.client, ["renders/r1", "a"])
    assert (found.files, read(two)["renders/r1"]) == (1, (0o644, b"3"))
    assert set((await ada.status("two")).waiting) == {"renders/deep/r2", "a/big.exr"}
    write(two, {"renders/r1": None})
    assert await ada.changes("two") == ["renders/r1"]


async def test_undo_takes_back_what_waits(ada: Person, folders: tuple[Path, Path]) -> None:
    one, two = folders
    write(one, {"renders/late": b"late", "renders/r1": None, "renders/deep/r2": b"newer"})
    await ada.push("one")
    await ada.pull("two")
    done = await asyncio.to_thread(undo_commit, two, ada.client)
    assert done.changed == 3
    assert await ada.changes("two") == []
    await ada.pull("one")
    # What is back after it was deleted is new, and waits.
    assert set(read(one)) == FILES.keys() - {"renders/r1"}
    assert (await ada.status("one")).waiting == ["renders/r1"]
    assert read(one)["renders/deep/r2"] == (0o644, b"4")


async def test_what_waits_is_taken_out_by_untrack(
    ada: Person, folders: tuple[Path, Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = folders
    monkeypatch.chdir(two)
    await run("untrack", "renders/r1", "renders/deep")
    assert (await ada.status("two")).untracked == ["renders/deep/r2", "renders/r1"]
    write(two, {"a/x": b"edit"})
    assert (await ada.push("two")).changed == 3
    assert (await ada.status("two")).waiting == ["a/big.exr"]
    await ada.pull("one")
    assert set(read(one)) == {"top", "a/x", "a/big.exr"}


async def test_what_was_pushed_instead_waits_no_more(
    ada: Person, folders: tuple[Path, Path]
) -> None:
    _, two = folders
    for content in (b"mine", FILES["renders/r1"]):
        write(two, {"renders/r1": content})
        await ada.push("two")
    write(two, {"renders/r1": None})
    assert await ada.changes("two") == ["renders/r1"]


async def test_the_ignore_rules_never_wait(
    ada: Person, folders: tuple[Path, Path], run: Run, film: str
) -> None:
    one, _ = folders
    await run("repo", "settings", film, "--on-demand-patterns", "*")
    write(one, {".ditsignore": b"*.tmp\n"})
    await ada.push("one")
    await ada.clone(film, "three")
    assert set(read(ada.home / "three")) == {".ditsignore"}
    write(ada.home / "three", {"x.tmp": b"scratch"})
    assert await ada.changes("three") == []
