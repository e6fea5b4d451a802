"""What is on the disk where a pull writes: folders, spellings, the place where the user stands."""

from __future__ import annotations

import asyncio
import contextlib
import unicodedata
from pathlib import Path

import pytest

from dits_client.cli.workspace_paths import open_workspace
from dits_client.errors import ClientError, ConflictError
from dits_client.shelves import shelve_folder
from tests.support.client import Person, read, write


@pytest.fixture
async def two(ada: Person, film: str) -> str:
    """A clone of a folder that has `a`."""
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    return "two"


async def test_folders_without_files_give_way(ada: Person, two: str) -> None:
    write(ada.home / "one", {"e": b"a file", "l": "a"})
    await ada.push("one")
    for place in ("e/deep/er", "e/side", "l"):
        (ada.home / two / place).mkdir(parents=True)
    await ada.pull(two)
    assert read(ada.home / two) == read(ada.home / "one")


async def test_folders_with_files_do_not(ada: Person, two: str) -> None:
    write(ada.home / "one", {"e": b"a file", "f": b"2"})
    await ada.push("one")
    write(ada.home / two, {".ditsignore": b"*.tmp\n", "e/deep/x.tmp": b"precious", "e/link": "a"})
    with pytest.raises(ConflictError) as caught:
        await ada.pull(two)
    assert caught.value.paths == ["e/link"]
    write(ada.home / two, {"e/link": None})
    for force in (False, True):
        with pytest.raises(ConflictError) as caught:
            await ada.pull(two, force=force)
        assert caught.value.paths == ["e/deep/x.tmp"]
        assert not (ada.home / two / "f").exists()


async def test_names_in_nfd_are_written_over_as_the_disk_spells_them(ada: Person, two: str) -> None:
    nfc, nfd = (unicodedata.normalize(form, "Kü/Köche.blend") for form in ("NFC", "NFD"))
    write(ada.home / "one", {nfd: b"1", unicodedata.normalize("NFD", "Kü/übrig"): b"2"})
    await ada.push("one")
    await ada.pull(two)
    assert (ada.home / two / nfc).read_bytes() == b"1"
    write(ada.home / two, {nfc: b"22", "Kü/übrig": None, "Kü/new": b"3"})
    await ada.push(two)
    await ada.pull("one")
    assert sorted(read(ada.home / "one")) == sorted(
        ["a", nfd, unicodedata.normalize("NFD", "Kü/") + "new"]
    )
    assert (ada.home / "one" / nfd).read_bytes() == b"22"
    assert await ada.changes("one") == []
    # An edit is still one.
    write(ada.home / two, {nfc: b"333"})
    await ada.push(two)
    write(ada.home / "one", {nfd: b"mine"})
    with pytest.raises(ConflictError) as caught:
        await ada.pull("one")
    assert caught.value.paths == [nfc]


async def test_the_folder_where_the_user_stands_stays(ada: Person, two: str) -> None:
    write(ada.home / "one", {"gone/deep/x": b"1", "gone/y": b"2"})
    await ada.push("one")
    await ada.pull(two)
    write(ada.home / "one", {"gone/deep/x": None, "gone/y": None})
    await ada.push("one")
    with contextlib.chdir(ada.home / two / "gone/deep"):
        await ada.pull(two)
        assert (await asyncio.to_thread(open_workspace)).root == ada.home / two
        assert not list(Path.cwd().iterdir())
        assert await ada.changes(two) == []
        # If it goes all the same, there is a sentence.
        (ada.home / two / "gone/deep").rmdir()
        with pytest.raises(ClientError, match="the current folder is gone"):
            open_workspace()
    assert not (ada.home / two / "gone/y").exists()


async def test_the_advice_is_what_helps(ada: Person, two: str) -> None:
    """A shelf takes nothing that is ignored, except what is in the commit."""
    write(ada.home / "one", {"x.tmp": b"1", "y": b"2", ".ditsignore": b""})
    await ada.push("one")
    write(ada.home / two, {".ditsignore": b"*.tmp\n", "x.tmp": b"mine"})
    with pytest.raises(ConflictError, match="`dits shelve` takes those that are included and not"):
        await ada.pull(two)
    # The rules of the commit are empty.
    write(ada.home / two, {".ditsignore": None, "x.tmp": None, "y": b"mine"})
    with pytest.raises(ConflictError, match=r"\(move them away or `dits shelve` them\):\n  y$"):
        await ada.pull(two)
    write(ada.home / two, {"y": None})
    await ada.pull(two)
    await ada.switch(two, "side", create=True)
    write(ada.home / two, {".ditsignore": b"*.tmp\n", "x.tmp": None})
    await ada.push(two)
    write(ada.home / two, {"x.tmp": b"mine"})
    with pytest.raises(ConflictError, match=r"\(move them away\):\n  x\.tmp$"):
        await ada.switch(two, "main")
    # In the commit, it is a change as any other.
    write(ada.home / two, {".ditsignore": b"", "x.tmp": b"2"})
    await ada.push(two)
    write(ada.home / two, {".ditsignore": b"*.tmp\n"})
    await ada.push(two)
    write(ada.home / two, {"x.tmp": b"mine"})
    with pytest.raises(
        ConflictError, match=r"\(move them away or `dits shelve` them\):\n  x\.tmp$"
    ):
        await ada.switch(two, "main")
    await asyncio.to_thread(shelve_folder, ada.home / two, ada.client, "ada/x")
    await ada.switch(two, "main")
