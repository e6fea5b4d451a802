"""Names that cannot be stored are left out: all of them are named, and everything works with the rest."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from dits_client.checkout.include import exclude_paths
from dits_client.cli.main import main
from dits_client.errors import ClientError, ConflictError
from dits_client.progress import Warnings
from dits_client.push import push_folder
from dits_client.server.repository import RepositoryClient
from dits_client.shelves import list_shelves, shelve_folder
from dits_client.transfer.upload import Uploader
from tests.support.client import Person, Run, read, write
from tests.support.client_locks import live_locks, take_locks
from tests.support.snapshots import OLD

LATIN = os.fsdecode(b"caf\xe9")
DEEP = "/".join(["x" * 200] * 5)
# Of the last, the one that is not in NFC is left out.
BAD = ["back\\slash", LATIN, "bell\a", f"{DEEP}/{'y' * 30}", "e\u0301"]


@pytest.fixture
async def one(ada: Person, film: str) -> Path:
    """A pushed folder, with names beside its files that cannot be stored."""
    folder = ada.home / "one"
    write(folder, {"a": b"1", "shots/b": b"1", "link": "a", "\u00e9": b"1"})
    await ada.push("one", film)
    write(folder, dict.fromkeys(BAD, b"mine") | {f"folder{LATIN}/x{n}": b"" for n in range(3)})
    return folder


async def test_a_push_takes_the_rest_and_lists_all(ada: Person, film: str, one: Path) -> None:
    write(one, {"a": b"22", "new": b"1"})
    status = await ada.status("one")
    report = await ada.push("one", message="the rest")
    assert (report.pushed, report.changed, report.deleted) == (True, 2, 0)
    assert report.left_out == sorted(status.unusable)
    assert len(report.left_out) == len(BAD) + 1
    assert sum("; with all in it" in told for told in report.left_out) == 1
    assert sorted(status.unusable_paths) == sorted([*BAD, f"folder{LATIN}"])
    await ada.clone(film, "two")
    assert sorted(read(ada.home / "two")) == ["a", "link", "new", "shots/b", "\u00e9"]
    # Nothing is left to push, and that is no reason to take all for safe.
    again = await ada.push("one")
    assert (again.pushed, again.left_out) == (False, report.left_out)


async def test_a_long_push_lists_them_before_it_sends_anything(
    ada: Person, one: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_folder, "LONG_BYTES", 10_000)
    write(one, {"a": b"22"})
    await ada.push("one", progress=Warnings())
    assert "left out" not in capsys.readouterr().err
    write(one, {"a": bytes(10_000)})

    def begin(_: Uploader) -> Uploader:
        raise ClientError("an upload begins")

    monkeypatch.setattr(Uploader, "__enter__", begin)
    with pytest.raises(ClientError, match="an upload begins"):
        await ada.push("one", progress=Warnings())
    told = capsys.readouterr().err
    assert told.startswith("dits: left out, and in this folder alone:")
    assert "back" in told


@pytest.mark.usefixtures("locked_film")
@pytest.mark.parametrize("ends", [False, True])
async def test_a_lock_stays_where_its_file_gets_such_a_name(
    ada: Person, capsys: pytest.CaptureFixture[str], ends: bool
) -> None:
    one = ada.home / "one"
    await take_locks(ada, "a", release_on_push=ends)
    (one / "a").rename(one / LATIN)
    report = await ada.push("one", progress=Warnings())
    assert (report.deleted, len(report.left_out)) == (1, 1)
    # Nobody can put another file there meanwhile, unless the push was to end the lock.
    assert await live_locks(ada) == ({} if ends else {"a": "ada"})
    told = '"a" is gone, and your lock on it stays: `dits unlock` gives it back'
    assert (told in capsys.readouterr().err) == (not ends)
    # Under a name that can be stored it is a new file.
    (one / LATIN).rename(one / "e")
    assert (await ada.push("one")).changed == 1


async def test_a_file_that_gets_such_a_name_is_deleted_from_the_branch(
    ada: Person, film: str, one: Path
) -> None:
    (one / "a").rename(one / f"a{LATIN}")
    (one / "shots").rename(one / f"shots{LATIN}")
    report = await ada.push("one")
    assert (report.changed, report.deleted, len(report.left_out)) == (2, 2, len(BAD) + 3)
    await ada.clone(film, "two", revision="main")
    assert sorted(read(ada.home / "two")) == ["link", "\u00e9"]
    assert (one / f"shots{LATIN}" / "b").read_bytes() == b"1"


async def test_a_link_whose_target_cannot_be_stored_stays_in_the_commit_as_it_was(
    ada: Person, film: str, one: Path
) -> None:
    write(one, {"link": LATIN, "other": LATIN, "a": b"22"})
    (one / "odd").symlink_to("bell\a")
    status = await ada.status("one")
    assert (status.changed, status.new, status.deleted) == (["a"], [], [])
    assert {"link", "other", "odd"} <= set(status.unusable_paths)
    report = await ada.push("one")
    assert (report.changed, report.deleted) == (1, 0)
    await ada.clone(film, "two")
    two = ada.home / "two"
    assert read(two)["link"] == "a"
    assert not any((two / name).is_symlink() for name in ("other", "odd"))
    # No pull takes it away, whether the commit changes the link or removes it.
    for target in ("elsewhere", None):
        write(two, {"link": target})
        await ada.push("two")
        with pytest.raises(ConflictError) as caught:
            await ada.pull("one")
        assert caught.value.paths == ["link"]
        assert os.fsencode((one / "link").readlink()) == b"caf\xe9"
    write(one, {"link": None})
    await ada.pull("one")
    assert "link" not in read(one)


async def test_new_names_that_the_repository_refuses_are_left_out(
    ada: Person, film: str, one: Path
) -> None:
    write(one, {"A": b"twin", "shots/aux.txt": b"1", "T/x": b"1", "t/x": b"1", "fine": b"1"})
    # A status that has read the folder before knows nothing of the repository's rule.
    assert "A" in (await ada.status("one")).new
    report = await ada.push("one")
    assert (report.changed, report.deleted) == (1, 0)
    told = "\n".join(report.left_out)
    for name in ('"shots/aux.txt"', '"a" and "A"', '"t" and "T"'):
        assert name in told, told
    await ada.clone(film, "two")
    assert sorted(read(ada.home / "two")) == ["a", "fine", "link", "shots/b", "\u00e9"]
    assert (await ada.status("one")).new == ["A", "T/x", "shots/aux.txt", "t/x"]
    assert not (await ada.push("one")).pushed


async def test_no_checkout_deletes_them(ada: Person, film: str, one: Path) -> None:
    await ada.clone(film, "two")
    two = ada.home / "two"
    write(one, {f"shots/{LATIN}": b"mine"})
    before = read(one)
    # A folder becomes a file.
    write(two, {"shots/b": None})
    (two / "shots").rmdir()
    write(two, {"shots": b"file", "a": b"22"})
    await ada.push("two")
    for force in (False, True):
        with pytest.raises(ConflictError) as caught:
            await ada.pull("one", force=force)
        assert caught.value.paths == [f"shots/{LATIN}"]
    assert read(one) == before
    with pytest.raises(ConflictError) as caught:
        await asyncio.to_thread(exclude_paths, one, ada.client, ["shots"])
    assert caught.value.paths == [f"shots/{LATIN}"]
    (one / "shots" / LATIN).rename(ada.home / "kept")
    await ada.pull("one")
    assert read(one)["shots"] == (0o644, b"file")
    # One that goes with all its files leaves the folder there.
    write(one, {"shots": None, "d/x": b"1"})
    await ada.push("one")
    write(one, {f"d/{LATIN}": b"mine"})
    await ada.switch("one", "side", create=True)
    write(one, {"d/x": None})
    await ada.push("one")
    await ada.switch("one", "main")
    await ada.switch("one", "side")
    assert [path for path in read(one) if path.startswith("d/")] == [f"d/{LATIN}"]


async def test_a_shelf_leaves_them(ada: Person, film: str, one: Path) -> None:
    write(one, {"a": b"22"})
    report = await asyncio.to_thread(shelve_folder, one, ada.client, "ada/mine")
    assert (report.changed, len(report.left_out)) == (1, len(BAD) + 1)
    assert read(one)["a"] == (0o644, b"1")
    assert (one / LATIN).read_bytes() == b"mine"


async def test_no_shelf_is_made_of_names_alone_that_the_repository_refuses(
    ada: Person, one: Path
) -> None:
    write(one, {"A": b"twin"})
    with pytest.raises(ClientError, match="nothing to put aside, and no shelf takes:") as caught:
        await asyncio.to_thread(shelve_folder, one, ada.client, "ada/mine")
    assert '"a" and "A"' in str(caught.value)
    # Another one would bring what the folder's commit changed.
    remote = RepositoryClient(ada.client, "ada/film")
    assert await asyncio.to_thread(lambda: list(list_shelves(remote))) == []
    assert read(one)["A"] == (0o644, b"twin")


async def test_commands_tell_people_and_programs(
    run: Run, film_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(film_folder, {LATIN: b"mine", "new": b"1"})
    os.utime(film_folder / "new", ns=(OLD, OLD))
    assert await asyncio.to_thread(main, ["diff"]) == 0
    told = capsys.readouterr().err
    assert 'no push takes:\n  the name "caf\\udce9" is not UTF-8' in told
    assert "unusable the name" in await run("status")
    for line in (["shelve", "mine"], ["push", "-q"]):
        told = await run(*line, fails=3)
        assert told.endswith(
            'dits: left out, and in this folder alone:\n  the name "caf\\udce9" is not UTF-8: rename it\n'
        )
        write(film_folder, {"new": b"1"})
    assert await asyncio.to_thread(main, ["push"]) == 3
    assert "Nothing else to push" in capsys.readouterr().out
    assert "no shelf takes" in await run("shelve", fails=1)
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["push", "--json"]) == 3
    (sentence,) = json.loads(capsys.readouterr().out)["left_out"]
    assert sentence == 'the name "caf\\udce9" is not UTF-8: rename it'
    (film_folder / "a").rename(film_folder / f"a{LATIN}")
    assert "is gone from the branch; its history has it" in await run("push", fails=3)
    (film_folder / f"a{LATIN}").rename(film_folder / "a")
    (film_folder / LATIN).unlink()
    await run("push")


async def test_a_lock_protects_them(run: Run, film_folder: Path) -> None:
    write(film_folder, {f"d/{LATIN}": b"mine"})
    await run("lock", "d/")
    assert "has changes that are not pushed" in await run("unlock", "d/", fails=1)
    await run("unlock", "--discard-protection", "d/")
