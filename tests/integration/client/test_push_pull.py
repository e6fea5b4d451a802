"""Push, clone and pull against running services."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND

from dits_client.content import chunking
from dits_client.errors import ClientError, ConflictError, RemoteError
from dits_client.transfer.download import Downloader
from dits_client.workspace.workspace import Workspace
from shared.formats.commits import MAX_MESSAGE_BYTES
from shared.formats.profiles import Profile
from tests.support.api import Api
from tests.support.client import NOISE, Files, Person, read, write


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


# Every kind of change.
BEFORE: Files = {
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
AFTER: Files = {
    "changed": NOISE[:1_000_000] + b"+" + NOISE[1_000_000:2_000_000],
    "moved here/big": NOISE[2_000_000:],
    "file to folder/inside": b"7",
    "folder to file": b"8",
    "folder to link": "moved here",
    "link": "changed",
    "link to folder/z": b"9",
}


async def test_pull_brings_every_kind_of_change(ada: Person, film: str) -> None:
    write(ada.home / "one", BEFORE)
    await ada.push("one", film)
    await ada.clone(film, "two")
    one = ada.home / "one"
    write(one, {name: None for name in BEFORE if name not in ("kept", "mode")})
    for folder in ("gone/b", "gone", "moved", "folder to file", "folder to link"):
        (one / folder).rmdir()
    write(one, AFTER)
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
    mine: Files = {"a": b"mine", "new": b"in the way", "e": b"mine too", "b": b"2b", "c/d": b"33"}
    mine = {**mine, "f": b"kept"}
    write(ada.home / "two", mine)
    with pytest.raises(ConflictError) as caught:
        await ada.pull("two")
    assert caught.value.paths == ["a", "e", "new"]
    assert {name: (ada.home / "two" / name).read_bytes() for name in mine} == mine
    report = await ada.pull("two", force=True)
    assert report.commit == head
    here = read(ada.home / "two")
    # Force is for every file of the commit; a file that no commit has stays.
    assert here.pop("f") == (0o644, b"kept")
    assert here == read(ada.home / "one")
    assert await ada.changes("two") == ["f"]
    assert (await ada.push("two")).changed == 1


async def test_an_ignored_file_in_the_way_is_not_overwritten(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(ada.home / "two", {".ditsignore": b"*.tmp\n", "x.tmp": b"precious"})
    write(ada.home / "one", {"x.tmp": b"theirs", "b": b"2"})
    await ada.push("one")
    with pytest.raises(ConflictError) as caught:
        await ada.pull("two")
    assert caught.value.paths == ["x.tmp"]
    assert (ada.home / "two" / "x.tmp").read_bytes() == b"precious"
    # It is known before anything is written.
    assert not (ada.home / "two" / "b").exists()
    assert not (await ada.status("two")).interrupted
    await ada.pull("two", force=True)
    assert (ada.home / "two" / "x.tmp").read_bytes() == b"theirs"


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


async def test_recipes_of_many_files_are_fetched_together(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "PROFILES", (Profile(0, 64, 256, 1024),))
    asked: list[int] = []
    real = Downloader.open_stream

    def counted(self: Downloader, hashes: Sequence[bytes]) -> object:
        asked.append(len(hashes))
        return real(self, hashes)

    monkeypatch.setattr(Downloader, "open_stream", counted)
    files: Files = {f"f{n}": NOISE[n * 4000 : (n + 1) * 4000] for n in range(100)}
    write(ada.home / "one", files)
    await ada.push("one", film)
    got = await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")
    # All recipes, then all chunks.
    assert asked == [100, got.chunks - 100]
    asked.clear()
    write(ada.home / "one", {f"f{n}": b"!" + NOISE[n * 4000 : (n + 1) * 4000] for n in range(100)})
    await ada.push("one")
    await ada.pull("two")
    assert read(ada.home / "two") == read(ada.home / "one")
    # The recipes of what is here, those of what comes, and what differs.
    assert asked[:2] == [100, 100]
    assert len(asked) == 3


async def test_a_message_has_a_limit(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    for message in ("x" * (MAX_MESSAGE_BYTES + 1), "\0"):
        with pytest.raises(ClientError, match="the commit cannot be made"):
            await ada.push("one", film, message=message)
    longest = "x" * MAX_MESSAGE_BYTES
    head = (await ada.push("one", film, message=longest)).commit
    assert (await ada.clone(film, "two")).commit == head


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


async def test_a_folder_follows_one_repository(ada: Person, api: Api, film: str) -> None:
    await api.repository(ada.account, "other")
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    with pytest.raises(
        ClientError, match=r"is not empty: it follows ada/film already, and `dits pull`"
    ):
        await ada.clone(film, "one")
    with pytest.raises(ClientError, match=r"is not empty$"):
        await ada.clone("ada/other", "one")
    with pytest.raises(RemoteError) as caught:
        await ada.clone("ada/none", "two")
    assert caught.value.reason == ERROR_REASON_NOT_FOUND
