"""The client against running services: push, clone and pull, and what may come in between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_HEAD_MOVED, ERROR_REASON_NOT_FOUND

from dits_client.content import chunking
from dits_client.content.sources import Piece
from dits_client.errors import ClientError, ConflictError, RemoteError
from dits_client.push.offer import Offer
from dits_client.transfer.upload import Uploader
from dits_client.workspace.workspace import Workspace
from shared.formats.profiles import Profile
from tests.support.api import Api
from tests.support.client import NOISE, Files, Person, read, write


def nothing(*_: object) -> list[Piece]:
    """In place of a question: the repository lacks nothing."""
    return []


@pytest.fixture
async def ada(api: Api, tmp_path: Path) -> AsyncIterator[Person]:
    with Person(api, await api.account("ada"), tmp_path / "ada") as person:
        yield person


@pytest.fixture
async def film(api: Api, ada: Person) -> str:
    return f"ada/{(await api.repository(ada.account, 'film')).name}"


async def test_what_is_pushed_is_what_is_cloned(ada: Person, film: str) -> None:
    files: Files = {
        "scene.blend": NOISE[:3_000_000],
        "text/readme.txt": " ".join(map(str, range(120_000))).encode(),
        "text/empty": b"",
        "text/deep/er/x": b"x",
        "latest": "text/readme.txt",
        "text/out": "/etc/passwd",
        "unicode \u00e9\u4e2d": b"name",
    }
    write(ada.home / "one", files)
    (ada.home / "one" / "text" / "deep" / "er" / "x").chmod(0o750)
    (ada.home / "one" / "void").mkdir()
    report = await ada.push("one", film, message="First")
    assert (report.pushed, report.files, report.changed) == (True, 7, 7)
    assert report.bytes == sum(len(c) for c in files.values() if isinstance(c, bytes))
    assert report.chunks_sent == report.chunks
    # Noise does not shrink, text does.
    assert 3_000_000 < report.bytes_sent < 3_100_000
    got = await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")
    assert (got.commit, got.files, got.bytes) == (report.commit, 7, report.bytes)
    assert got.chunks_received == got.chunks == report.chunks
    assert await ada.changes("two") == await ada.changes("one") == []
    again = await ada.push("two")
    assert (again.pushed, again.commit, again.bytes) == (False, report.commit, 0)


async def test_only_new_chunks_are_sent(ada: Person, film: str) -> None:
    write(ada.home / "one", {"big": NOISE, "same": b"same", "old/a": NOISE[:500_000]})
    first = await ada.push("one", film)
    (ada.home / "one" / "old").rename(ada.home / "one" / "new")
    write(ada.home / "one", {"big": NOISE[:1000] + b"inserted" + NOISE[1000:], "copy": NOISE})
    second = await ada.push("one", message="Second")
    assert second.changed == 4
    assert second.chunks_sent <= 3 < first.chunks_sent
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_touched_file_is_no_change(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    first = await ada.push("one", film)
    os.utime(ada.home / "one" / "a", ns=(1, 1))
    assert await ada.changes("one") == []
    second = await ada.push("one")
    assert (second.pushed, second.commit) == (False, first.commit)


async def test_pull_brings_every_kind_of_change(ada: Person, film: str) -> None:
    before: Files = {
        "kept": b"1",
        "changed": NOISE[:2_000_000],
        "mode": b"m",
        "gone/a": b"2",
        "gone/b/c": b"3",
        "moved/big": NOISE[2_000_000:],
        "file to folder": b"4",
        "folder to file/x": b"5",
        "folder to link/y": b"6",
        "link": "kept",
        "link to folder": "kept",
    }
    write(ada.home / "one", before)
    await ada.push("one", film)
    await ada.clone(film, "two")
    one = ada.home / "one"
    write(one, {name: None for name in before if name not in ("kept", "mode")})
    for folder in ("gone/b", "gone", "moved", "folder to file", "folder to link"):
        (one / folder).rmdir()
    write(
        one,
        {
            "changed": NOISE[:1_000_000] + b"+" + NOISE[1_000_000:2_000_000],
            "moved here/big": NOISE[2_000_000:],
            "file to folder/inside": b"7",
            "folder to file": b"8",
            "folder to link": "moved here",
            "link": "changed",
            "link to folder/z": b"9",
        },
    )
    (one / "mode").chmod(0o600)
    (ada.home / "two" / "of ours").write_bytes(b"untracked")
    pushed = await ada.push("one")
    report = await ada.pull("two")
    assert report.commit == pushed.commit
    (ada.home / "two" / "of ours").unlink()
    assert read(ada.home / "two") == read(one)
    assert not (ada.home / "two" / "gone").exists()
    # Most of the changed file, and all of the moved one, was here already.
    assert report.chunks_received < report.chunks / 2
    assert await ada.changes("two") == []
    assert (await ada.pull("two")).files == 0


async def test_local_changes_are_kept_or_named(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1", "b": b"2", "c/d": b"3", "e": b"4"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(ada.home / "one", {"a": b"11", "new/x": b"x", "e": None, "c/d": b"33"})
    head = (await ada.push("one")).commit
    mine: Files = {"a": b"mine", "new": b"in the way", "e": b"mine too", "b": b"kept", "c/d": b"33"}
    write(ada.home / "two", mine)
    with pytest.raises(ConflictError) as caught:
        await ada.pull("two")
    assert caught.value.paths == ["a", "e", "new"]
    assert {name: (ada.home / "two" / name).read_bytes() for name in mine} == mine
    report = await ada.pull("two", force=True)
    assert report.commit == head
    here = read(ada.home / "two")
    assert here.pop("b") == (0o644, b"kept")
    there = read(ada.home / "one")
    there.pop("b")
    assert here == there
    assert await ada.changes("two") == ["b"]
    assert (await ada.push("two")).changed == 1


async def test_an_ignored_file_in_the_way_is_not_overwritten(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(ada.home / "two", {".ditsignore": b"*.tmp\n", "x.tmp": b"precious"})
    write(ada.home / "one", {"x.tmp": b"theirs"})
    await ada.push("one")
    with pytest.raises(ConflictError, match="or is ignored"):
        await ada.pull("two")
    assert (ada.home / "two" / "x.tmp").read_bytes() == b"precious"
    await ada.pull("two", force=True)
    assert (ada.home / "two" / "x.tmp").read_bytes() == b"theirs"


async def test_a_branch_that_moved_wants_a_pull_first(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(ada.home / "one", {"b": b"1"})
    await ada.push("one")
    write(ada.home / "two", {"c": b"1"})
    with pytest.raises(RemoteError, match=r"run `dits pull` first") as caught:
        await ada.push("two")
    assert caught.value.reason == ERROR_REASON_HEAD_MOVED
    await ada.pull("two")
    assert (await ada.push("two")).pushed
    await ada.pull("one")
    assert read(ada.home / "one") == read(ada.home / "two")
    write(ada.home / "one", {"d": b"1"})
    write(ada.home / "two", {"e": b"1"})
    await ada.push("one")
    forced = await ada.push("two", force=True)
    got = await ada.clone(film, "three")
    assert got.commit == forced.commit
    assert sorted(read(ada.home / "three")) == ["a", "b", "c", "e"]


async def test_of_two_pushes_at_once_one_wins(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    for folder in ("one", "two"):
        write(ada.home / folder, {folder: os.urandom(100)})
    outcomes = await asyncio.gather(ada.push("one"), ada.push("two"), return_exceptions=True)
    failed = [outcome for outcome in outcomes if isinstance(outcome, RemoteError)]
    assert [error.reason for error in failed] == [ERROR_REASON_HEAD_MOVED]


async def test_other_branches(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    base = await ada.push("one", film)
    same = await ada.push("one", branch="same")
    assert (same.pushed, same.commit) == (False, base.commit)
    write(ada.home / "one", {"a": b"2"})
    topic = await ada.push("one", branch="topic")
    assert Workspace.locate(ada.home / "one").state.branch == "topic"
    await ada.clone(film, "main")
    await ada.clone(film, "topic", revision="topic")
    await ada.clone(film, "commit", revision=topic.commit)
    assert (ada.home / "main" / "a").read_bytes() == b"1"
    assert (ada.home / "topic" / "a").read_bytes() == b"2"
    assert (ada.home / "commit" / "a").read_bytes() == b"2"
    with pytest.raises(ClientError, match="has no branch none"):
        await ada.clone(film, "none", revision="none")


async def test_an_empty_repository_and_an_empty_folder(ada: Person, film: str) -> None:
    assert (await ada.clone(film, "one")).commit == ""
    assert not (await ada.push("one")).pushed
    assert (await ada.pull("one")).commit == ""
    write(ada.home / "one", {"a": b"1"})
    first = await ada.push("one")
    await ada.clone(film, "two")
    write(ada.home / "one", {"a": None})
    second = await ada.push("one")
    assert second.pushed
    assert second.commit != first.commit
    await ada.pull("two")
    assert read(ada.home / "two") == {}


async def test_files_with_recipes(ada: Person, film: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = (Profile(0, 64, 256, 1024),)
    monkeypatch.setattr(chunking, "PROFILES", tiny)
    write(ada.home / "one", {"film": NOISE[:1_000_000]})
    first = await ada.push("one", film)
    assert first.chunks > 1024
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")
    write(ada.home / "one", {"film": NOISE[:500_000] + b"!" + NOISE[500_000:1_000_000]})
    second = await ada.push("one")
    assert second.chunks_sent < 10
    report = await ada.pull("two")
    assert report.chunks_received < 10
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_push_after_status_sends_what_status_read(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "PROFILES", (Profile(0, 64, 256, 1024),))
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    write(ada.home / "one", {"film": NOISE[:1_000_000], "b": b"2"})
    for name in ("film", "b"):
        os.utime(ada.home / "one" / name, ns=(1, 1))
    assert await ada.changes("one") == ["b", "film"]
    report = await ada.push("one")
    assert (report.changed, report.bytes) == (2, 0)
    assert report.chunks_sent > 1024
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_what_the_server_turns_out_to_lack_is_sent(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": NOISE[:300_000], "b": b"b", "c/d": b"d"})
    with monkeypatch.context() as lie:
        # As if what the server called present were gone a moment later.
        lie.setattr(Uploader, "_select_missing", nothing)
        report = await ada.push("one", film)
    assert report.pushed
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_many_missing_chunks_are_all_sent(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {f"f{n}": os.urandom(100) for n in range(80)})
    with monkeypatch.context() as lie:
        lie.setattr(Uploader, "_select_missing", nothing)
        assert (await ada.push("one", film)).pushed
    assert (await ada.clone(film, "two")).files == 80


async def test_a_file_changed_behind_the_clients_back_is_an_error(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": NOISE[:300_000]})
    real = Uploader._select_missing

    def change(self: Uploader, batch: object) -> object:
        write(ada.home / "one", {"a": NOISE[300_000:600_000]})
        return real(self, batch)  # type: ignore[arg-type]

    with monkeypatch.context() as late:
        late.setattr(Uploader, "_select_missing", change)
        with pytest.raises(ClientError, match='"a" was changed while it was being read'):
            await ada.push("one", film)
    assert (await ada.clone(film, "none")).commit == ""
    assert (await ada.push("one")).pushed
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_the_index_may_be_lost(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a/b": b"1", "c": b"2"})
    await ada.push("one", film)
    Workspace.locate(ada.home / "one").index_path.unlink()
    assert not (await ada.push("one")).pushed
    Workspace.locate(ada.home / "one").index_path.write_bytes(b"rubbish")
    write(ada.home / "one", {"c": b"3"})
    assert await ada.changes("one") == ["c"]
    assert (await ada.push("one")).changed == 1
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_push_whose_answer_was_lost_is_found_by_the_next_pull(
    ada: Person, film: str
) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    before = Workspace.locate(ada.home / "one").state
    write(ada.home / "one", {"a": b"2"})
    head = (await ada.push("one")).commit
    workspace = Workspace.locate(ada.home / "one")
    workspace.state = before
    workspace.save()
    with pytest.raises(RemoteError):
        await ada.push("one")
    report = await ada.pull("one")
    assert (report.commit, report.files) == (head, 0)
    assert not (await ada.push("one")).pushed


async def test_a_folder_follows_one_repository(ada: Person, api: Api, film: str) -> None:
    await api.repository(ada.account, "other")
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    with pytest.raises(ClientError, match="follows ada/film, not ada/other"):
        await ada.push("one", "ada/other")
    with pytest.raises(ClientError, match="is not empty"):
        await ada.clone(film, "one")
    with pytest.raises(RemoteError) as caught:
        await ada.clone("ada/none", "two")
    assert caught.value.reason == ERROR_REASON_NOT_FOUND


async def test_offers_leave_out_nothing_that_is_asked_for(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "PROFILES", (Profile(0, 64, 256, 1024),))
    write(ada.home / "one", {"old/film": NOISE[:1_000_000]})
    os.utime(ada.home / "one" / "old" / "film", ns=(1, 1))
    await ada.push("one", film)
    (ada.home / "one" / "old").rename(ada.home / "one" / "new")
    offered: list[int] = []
    real = Offer._cut_again

    def cut_again(self: Offer, source: object, file: object) -> object:
        offered.append(1)
        return real(self, source, file)  # type: ignore[arg-type]

    monkeypatch.setattr(Offer, "_cut_again", cut_again)
    with monkeypatch.context() as lie:
        lie.setattr(Uploader, "_select_missing", nothing)
        report = await ada.push("one")
    # Nothing was read: the parent has the same content under the old name.
    assert (report.changed, report.bytes, report.chunks, offered) == (2, 0, 0, [])
