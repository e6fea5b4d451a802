"""A folder goes to other branches: nothing of the user's is lost, and a broken way is known and goes on."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest
from dits.repo.v1.ref_service_pb2 import DeleteBranchRequest

from dits_client.errors import ClientError, ConflictError
from dits_client.server.repository import RepositoryClient
from tests.support.client import Files, Person, Run, read, write
from tests.support.killed_command import run_killed

MAIN: Files = {f"f{n}": f"main {n}".encode() for n in range(8)} | {"d/x": b"1", "way": b"file"}
SIDE: Files = {
    **{f"f{n}": f"side {n}".encode() for n in range(3)},
    **{"f3": None, "d/x": None, "d": b"now a file", "way": None, "way/in": b"2", "link": "f4"},
}


@pytest.fixture
async def both(ada: Person, film: str) -> Path:
    """A folder of ada's on `main`, whose repository has a branch `side`."""
    one = ada.home / "one"
    write(one, MAIN)
    await ada.push("one", film)
    await ada.clone(film, "two")
    for name, content in SIDE.items():
        write(ada.home / "two", {name: content})
        if name == "d/x":
            (ada.home / "two/d").rmdir()
    await ada.push("two", branch="side")
    return one


async def test_there_and_back(ada: Person, both: Path) -> None:
    before, side = read(both), read(ada.home / "two")
    report = await ada.switch("one", "side")
    assert (report.branch, report.files, report.removed) == ("side", 6, 3)
    assert read(both) == side
    assert await ada.changes("one") == []
    assert (await ada.switch("one", "side")).files == 0
    await ada.switch("one", "main")
    assert read(both) == before
    # What is changed here and the same on both branches comes along; so do new and missing files.
    write(both, {"f7": b"edited", "new": b"x", "f6": None})
    await ada.switch("one", "side")
    assert await ada.changes("one") == ["f6", "f7", "new"]
    assert (both / "f7").read_bytes() == b"edited"
    await ada.push("one")
    assert (await ada.pull("two")).files == 2


@pytest.mark.parametrize(
    ("mine", "named"),
    [
        ({"f1": b"mine", "f7": b"comes along"}, ["f1"]),
        ({"f3": b"gone there"}, ["f3"]),
        ({"d/x": b"a file there"}, ["d/x"]),
        ({"d/new": b"a file there"}, ["d/new"]),
        ({"link": b"new here"}, ["link"]),
        ({"f2": None}, ["f2"]),
        # Ignored files are no less precious.
        ({".ditsignore": b"ignored\n", "d/ignored": b"1"}, ["d/ignored"]),
        ({".ditsignore": b"d/\n", "d/deep/er": b"1"}, ["d/deep/er"]),
        ({".ditsignore": b"link\n", "link": b"1"}, ["link"]),
    ],
)
async def test_what_would_be_lost_is_listed_and_nothing_happens(
    ada: Person, both: Path, mine: Files, named: list[str]
) -> None:
    write(both, mine)
    before = read(both)
    with pytest.raises(ConflictError) as caught:
        await ada.switch("one", "side")
    assert caught.value.paths == named
    status = await ada.status("one")
    assert (read(both), status.branch, status.interrupted) == (before, "main", "")


async def test_by_force_the_branch_decides(ada: Person, both: Path) -> None:
    write(both, {"f1": b"mine", "f3": b"mine", "link": b"mine", "f7": None, "new": b"stays"})
    await ada.switch("one", "side", force=True)
    assert await ada.changes("one") == ["new"]


async def test_branches_that_are_made_or_missing(ada: Person, both: Path) -> None:
    write(both, {"f7": b"edited"})
    report = await ada.switch("one", "next", create=True)
    assert (report.branch, report.files) == ("next", 0)
    for name in ("side", "main"):
        with pytest.raises(ClientError, match=f"a branch {name} already: `dits switch {name}`"):
            await ada.switch("one", name, create=True)
    await ada.push("one")
    # From another commit than the folder's.
    assert (await ada.switch("one", "look", create=True, start="side")).commit == (
        await ada.status("two")
    ).commit
    with pytest.raises(ClientError, match="has no branch sied: did you mean side\\?"):
        await ada.switch("one", "sied")
    with pytest.raises(ClientError, match=r"has no branch quite-another$"):
        await ada.switch("one", "quite-another")
    with pytest.raises(ClientError, match="nothing was interrupted"):
        await ada.switch("one")
    assert (await ada.status("one")).branch == "look"


async def test_a_refused_switch_keeps_a_branch_that_was_there(ada: Person, both: Path) -> None:
    write(both, {"f1": b"mine", "f3": b"mine"})
    with pytest.raises(ClientError, match="there is a branch side already"):
        await ada.switch("one", "side", create=True, start="side")
    assert (await ada.switch("one", "side", force=True)).branch == "side"


async def test_a_folder_without_commits_goes_to_a_branch(ada: Person, film: str) -> None:
    await ada.clone(film, "new")
    with pytest.raises(ClientError, match="has no branch side"):
        await ada.switch("new", "side")
    await ada.switch("new", "side", create=True)
    write(ada.home / "new", {"a": b"1"})
    assert (await ada.push("new")).branch == "side"
    with pytest.raises(ClientError, match="has no branch main"):
        await ada.switch("new", "main")


async def interrupt(ada: Person, both: Path, where: str) -> Path:
    """A copy of the folder whose switch to `side` is killed."""
    copy = both.with_name(f"killed {hash(where)}")
    shutil.copytree(both, copy, symlinks=True)
    assert await run_killed(ada.environ, copy, where, "switch", "side"), where
    return copy


async def test_a_killed_switch_goes_on(ada: Person, both: Path) -> None:
    before = read(both)
    for where, way in (("9", "on"), ("23", "pull"), ("state.json", "back"), ("index.new", "on")):
        folder = await interrupt(ada, both, where)
        status = await ada.status(folder.name)
        assert (status.branch, status.interrupted) == ("main", "side"), where
        with pytest.raises(
            ClientError, match=r"to side was interrupted .*`dits switch --continue`"
        ):
            await ada.push(folder.name)
        # The branch moves, and the user goes on to work.
        write(ada.home / "two", {"f4": where.encode(), f"at {where}": b"new", "f0": b"again"})
        await ada.push("two")
        write(folder, {"mine": b"precious"})
        if way == "back":
            await ada.switch(folder.name, "main")
        elif way == "pull":
            await ada.pull(folder.name)
        else:
            await ada.switch(folder.name)
        status = await ada.status(folder.name)
        assert (status.branch, status.interrupted) == ("main" if way == "back" else "side", "")
        assert await ada.changes(folder.name) == ["mine"]
        (folder / "mine").unlink()
        assert read(folder) == (before if way == "back" else read(ada.home / "two"))


async def test_an_edit_in_a_half_switched_folder_is_kept(ada: Person, both: Path) -> None:
    before = read(both)
    folder = await interrupt(ada, both, "state.json")
    write(folder, {"f0": b"an edit of what the switch brought"})
    write(ada.home / "two", {"f0": b"theirs"})
    await ada.push("two")
    with pytest.raises(ConflictError) as caught:
        await ada.switch(folder.name)
    assert caught.value.paths == ["f0"]
    assert (await ada.status(folder.name)).interrupted == "side"
    # The branch goes away: there is a way out, and the message names it.
    remote = RepositoryClient(ada.client, "ada/film")
    head = await asyncio.to_thread(remote.get_head, "side")
    gone = DeleteBranchRequest(repository=remote.name, name="side", expected_head=head)
    await asyncio.to_thread(remote.call, remote.refs.DeleteBranch, gone)
    with pytest.raises(ClientError, match="no branch side any more: `dits switch`"):
        await ada.pull(folder.name)
    await ada.switch(folder.name, "main")
    assert await ada.changes(folder.name) == ["f0"]
    (folder / "f0").write_bytes(b"main 0")
    assert read(folder) == before


async def test_a_killed_restore_is_completed_by_the_same_command(ada: Person, both: Path) -> None:
    arguments = ("restore", "f0", "f1", "f2", "link", "--revision", "side")
    assert await run_killed(ada.environ, both, "'f1'", *arguments)
    assert 0 < len(await ada.changes("one")) < 4
    assert not await run_killed(ada.environ, both, "0", *arguments)
    assert await ada.changes("one") == ["f0", "f1", "f2", "link"]


@pytest.mark.soak
async def test_switches_killed_anywhere(ada: Person, both: Path) -> None:
    rng = random.Random(int(os.environ.get("SOAK_SEED", "1")))
    trees = {"main": read(both), "side": read(ada.home / "two")}
    for _ in range(150):
        at = rng.choice(["main", "side"])
        force = ["--force"] if rng.random() < 0.2 else []
        where = str(rng.randrange(1, 60))
        if await run_killed(ada.environ, both, where, "switch", at, *force):
            if rng.random() < 0.5:
                continue
            at = rng.choice(["main", "side"])
            await ada.switch("one", at)
        assert (await ada.status("one")).interrupted == ""
        assert read(both) == trees[at]
        assert await ada.changes("one") == []


async def test_the_command(run: Run, film_folder: Path) -> None:
    assert (await run("switch", "-c", "side")).startswith("Switched to side at ")
    write(film_folder, {"a": b"22", "shots/b": None})
    await run("push", "-q")
    assert "1 file written, 0 removed" not in await run("switch", "main")
    write(film_folder, {"a": b"mine"})
    told = await run("switch", "side", fails=True)
    assert told == (
        "dits: local changes would be overwritten (move them away or `dits shelve` them):\n  a\n"
    )
    # A branch that is made for a switch that is refused is not left behind.
    assert "overwritten" in await run("switch", "-c", "third", "side", fails=True)
    assert "third" not in await run("branch", "list")
    # If it cannot be removed, the command says so, too.
    await run("protect", "set", "kept*", "--no-delete")
    told = await run("switch", "-c", "kept", "side", fails=True)
    assert "the branch kept was made and is still there (`dits branch delete kept`): " in told
    assert "would be overwritten" in told
    for arguments in ((), ("side", "--continue"), ("side", "main")):
        await run("switch", *arguments, fails=2)
    (film_folder / ".dits/checkout").write_text(f"{'0' * 64} {'0' * 64} side\n")
    assert (await run("status")).splitlines()[1] == (
        "A switch to side was interrupted: `dits switch --continue` completes it, "
        "`dits switch main` goes back."
    )
    for command in ("push", "merge side", "pull --from side", "undo"):
        assert "run `dits switch --continue` first" in await run(*command.split(), fails=True)
    # It may be of the commit that nobody knows.
    assert "(move them away):\n  a\n" in await run("switch", "main", fails=True)
    write(film_folder, {"a": None})
    await run("switch", "main")
    assert "interrupted" not in await run("status")
