"""Locks are on what the user means, are given back with care, and last as long as they are needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.client import Run, write


def strip(told: str) -> str:
    return re.sub(r" until 20[-0-9]+ [:0-9]+ UTC", "", told)


@pytest.fixture
async def shots(run: Run, film_folder: Path) -> Path:
    """A pushed folder with a link to a folder, and folders in it."""
    write(film_folder, {"deep/er/f": b"1", "shots/010.blend": b"2", "dirlink": "deep", "l": "a"})
    await run("push", "-q")
    return film_folder


async def test_the_path_is_that_of_the_tree(run: Run, shots: Path) -> None:
    assert strip(await run("lock", "dirlink/er/f")) == "locked: deep/er/f\n"
    assert strip(await run("lock", "dirlink/er")) == "locked: deep/er/\n"
    # A link is a file of its own.
    assert strip(await run("lock", "l", "dirlink")) == "locked: l\nlocked: dirlink\n"
    # Letters in another case; a file of the user's that has such a name is another one.
    assert strip(await run("lock", "Shots/010.BLEND")) == "locked: shots/010.blend\n"
    write(shots, {"SHOTS/010.blend": b"other"})
    assert strip(await run("lock", "SHOTS/010.blend")) == "locked: SHOTS/010.blend\n"
    # The folder is in the tree, though not on the disk.
    write(shots, {"shots/010.blend": None, "shots/b": None})
    (shots / "shots").rmdir()
    assert strip(await run("lock", "shots")) == "locked: shots/\n"
    assert "is not in" in await run("lock", "dirlink/../../../x", fails=2)
    write(shots, {"out": "/etc"})
    assert '"out/passwd" is not in' in await run("lock", "out/passwd", fails=2)


async def test_what_is_nowhere_is_a_typing_error_unless_the_user_says_so(
    run: Run, shots: Path
) -> None:
    told = await run("lock", "shots/010.blned", fails=True)
    assert told.startswith(
        'dits: there is no "shots/010.blned": did you mean shots/010.blend? (to come: --new'
    )
    assert "did you mean shots?" in await run("lock", "shotts/010.blend", fails=True)
    assert 'there is no "quite/other" (to come' in await run("lock", "quite/other", fails=True)
    assert await run("locks") == ""
    assert strip(await run("lock", "--new", "shots/020.blend")) == "locked: shots/020.blend\n"
    assert strip(await run("lock", "--directory", "sc1")) == "locked: sc1/\n"
    assert strip(await run("lock", "sc2/")) == "locked: sc2/\n"
    told = await run("unlock", "shots/020.blen", fails=True)
    assert 'no lock on "shots/020.blen": did you mean shots/020.blend?' in told
    # No folder is there that could tell that `sc1` is one.
    assert await run("unlock", "sc1", "sc2") == "released: sc1/\nreleased: sc2/\n"


async def test_a_lock_is_kept_while_changes_are_not_pushed(run: Run, shots: Path) -> None:
    await run("lock", "a", "shots", "deep/er/f")
    write(shots, {"a": b"edited", "shots/new": b"2", "deep/er/f": None})
    for path in ("a", "shots"):
        told = await run("unlock", path, fails=True)
        assert "has changes that are not pushed" in told
    assert '"shots/new"' in told
    # A deletion loses nothing that others do.
    assert await run("unlock", "deep/er/f") == "released: deep/er/f\n"
    assert await run("unlock", "a", "--discard-protection") == "released: a\n"
    await run("push", "-q")
    assert await run("unlock", "shots") == "released: shots/\n"


async def test_locks_are_renewed(run: Run, shots: Path) -> None:
    def until(told: str) -> str:
        found = re.search(r"until (.*) UTC", told)
        assert found
        return found[1]

    short = until(await run("lock", "a", "--ttl", "1m"))
    assert (await run("lock", "a")) == f"yours already: a until {short} UTC\n"
    told = await run("lock", "a", "--ttl", "3h")
    assert told.startswith("renewed: a until ")
    assert until(told) > short
    # It is not made shorter in passing.
    assert (await run("lock", "a", "--ttl", "1m")).startswith("yours already: a")
    await run("lock", "deep")
    assert len((await run("renew", "--ttl", "5h")).splitlines()) == 2
    assert (await run("renew", "deep")).startswith("renewed: deep/ until ")
    assert 'you hold no lock on "l"' in await run("renew", "l", fails=True)
