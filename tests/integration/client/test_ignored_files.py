"""Files that are tracked and match an ignore pattern, and how files leave the repository."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest

from dits_client.checkout.include import exclude_paths
from dits_client.errors import ClientError, ConflictError
from dits_client.workspace.ignore_files import MAX_IGNORE_BYTES, MAX_TOTAL_BYTES
from dits_client.workspace.status import compare_folder
from dits_client.workspace.untrack import untrack_paths
from tests.support.client import Person, Run, read, write


async def test_a_new_pattern_does_not_concern_what_is_tracked(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"cache/a": b"1", "cache/deep/b": b"2", "x.tmp": b"3"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(one, {".ditsignore": b"cache/\n*.tmp\n", "cache/new": b"4", "cache/deep/new": b"5"})
    write(one, {"other/cache/c": b"6", "y.tmp": b"7"})
    assert await ada.changes("one") == [".ditsignore"]
    await ada.push("one")
    assert (await ada.pull("two")).removed == 0
    assert (two / "cache" / "a").read_bytes() == b"1"
    # It is tracked as before: changes and deletions go on their way.
    write(two, {"cache/a": b"11", "cache/deep/b": None, "x.tmp": b"33", "cache/mine": b"8"})
    assert await ada.changes("two") == ["cache/a", "cache/deep/b", "x.tmp"]
    await ada.push("two")
    await ada.pull("one")
    assert (one / "cache" / "a").read_bytes() == b"11"
    assert (one / "cache" / "deep" / "new").read_bytes() == b"5"
    assert await ada.changes("one") == []
    # The index may be lost: the server knows what is tracked.
    (one / ".dits" / "index").unlink()
    assert not (await ada.push("one")).pushed


async def test_what_is_tracked_is_known_without_its_patterns(ada: Person, film: str) -> None:
    """As long as the directory is that of the commit; each name that is not its file is compared."""
    one = ada.home / "one"
    write(one, {"d/x.log": b"1", "d/sub.log/a": b"2", "d/k": b"3", ".ditsignore": b""})
    await ada.push("one", film)
    write(one, {".ditsignore": b"*.log\n"})
    await ada.push("one")
    assert await ada.changes("one") == []
    write(one, {"d/y.log": b"4", "d/sub.log/new": b"5", "d/sub.log/a": None})
    assert await ada.changes("one") == ["d/sub.log/a"]
    # Where the commit has a directory, a file that is ignored is none of it.
    (one / "d/sub.log/new").unlink()
    (one / "d/sub.log").rmdir()
    write(one, {"d/sub.log": b"6", "d/x.log": b"7", "d/y.log": None})
    assert await ada.changes("one") == ["d/sub.log/a", "d/x.log"]


async def test_untracked_files_stay_in_the_folders_of_everyone(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"cache/a": b"1", "cache/b": b"2", "cache/c": b"3", "keep": b"4"})
    await ada.push("one", film)
    await ada.clone(film, "two")

    async def untrack(*paths: str) -> list[str]:
        return await asyncio.to_thread(untrack_paths, one, lambda: ada.client, paths)

    with pytest.raises(ClientError, match='"cache/a" is not ignored'):
        await untrack("cache")
    write(one, {".ditsignore": b"cache/\n"})
    with pytest.raises(ClientError, match='"cache/none" is not tracked'):
        await untrack("cache/a", "cache/none")
    assert await ada.changes("one") == [".ditsignore"]
    assert await untrack("cache") == ["cache/a", "cache/b", "cache/c"]
    report = await asyncio.to_thread(compare_folder, one, lambda: ada.client)
    assert (report.untracked, report.deleted) == (["cache/a", "cache/b", "cache/c"], [])
    assert (await ada.push("one")).changed == 4
    assert read(one).keys() == {".ditsignore", "cache/a", "cache/b", "cache/c", "keep"}
    assert await ada.changes("one") == []
    write(two, {"cache/a": b"an edit that nobody shall lose", "cache/c": None})
    report_of_pull = await ada.pull("two")
    assert (report_of_pull.files, report_of_pull.removed) == (1, 0)
    assert (two / "cache" / "a").read_bytes() == b"an edit that nobody shall lose"
    assert (two / "cache" / "b").read_bytes() == b"2"
    assert await ada.changes("two") == []
    await ada.clone(film, "three")
    assert read(ada.home / "three").keys() == {".ditsignore", "keep"}
    assert not (await ada.push("two")).pushed


async def test_an_untracked_file_gives_way_only_if_it_was_not_changed(
    ada: Person, film: str
) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"cache": b"1", "logs": b"2"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(one, {".ditsignore": b"cache\nlogs\n"})
    await asyncio.to_thread(untrack_paths, one, lambda: ada.client, ["cache", "logs"])
    await ada.push("one")
    # Folders take the places of both files.
    write(one, {".ditsignore": None, "cache": None, "logs": None})
    write(one, {"cache/x": b"3", "logs/x": b"4"})
    await ada.push("one")
    write(one, {".ditsignore": b"cache\nlogs\n"})
    await ada.push("one")
    write(two, {"logs": b"changed"})
    with pytest.raises(ConflictError) as caught:
        await ada.pull("two")
    assert caught.value.paths == ["logs"]
    await ada.pull("two", force=True)
    assert read(two) == read(one)


async def test_untracking_by_command(run: Run, film_folder: object) -> None:
    assert "is not ignored" in await run("untrack", "shots/b", fails=True)
    assert "the whole folder" in await run("untrack", ".", fails=2)
    write(film_folder, {".ditsignore": b"shots/\n"})  # type: ignore[arg-type]
    assert (await run("untrack", "shots")).startswith("untracked: shots/b\n")
    assert "untracked shots/b" in await run("status")
    assert "2 changed" in await run("push")
    assert "Nothing has changed." in await run("status")
    assert (await run("ls")).split()[2::3] == [".ditsignore", "a"]


async def test_each_folder_may_have_patterns_of_its_own(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(
        one, {".ditsignore": b"*.tmp\nout/\n", "a.tmp": b"1", "d/a.tmp": b"1", "d/keep.tmp": b"2"}
    )
    write(one, {"d/.ditsignore": b"!keep.tmp\n/cache\n", "d/cache/x": b"3", "d/e/cache/x": b"4"})
    # What is ignored itself brings no patterns; nor does what is no file.
    write(one, {"out/.ditsignore": b"!*\n", "out/x": b"5", "l/.ditsignore": "../d/.ditsignore"})
    write(one, {"l/cache/x": b"6", "f/.ditsignore/x.tmp": b"7", "f/y": b"8"})
    pushed = {".ditsignore", "d/.ditsignore", "d/keep.tmp", "d/e/cache/x"}
    pushed |= {"l/.ditsignore", "l/cache/x", "f/y"}
    await ada.push("one", film)
    await ada.clone(film, "two")
    assert read(two).keys() == pushed
    # A change of the patterns comes with a pull, and concerns what is not tracked.
    write(two, {"d/new": b"9", "d/cache/y": b"10"})
    write(one, {"d/.ditsignore": b"*\n"})
    await ada.push("one")
    assert await ada.changes("two") == ["d/new"]
    await ada.pull("two")
    assert await ada.changes("two") == []
    write(two, {"d/.ditsignore": None})
    assert await ada.changes("two") == ["d/.ditsignore", "d/cache/y", "d/new"]


async def test_files_are_untracked_by_the_patterns_of_their_folder(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"d/cache/a": b"1", "d/cache/b": b"2", "cache/c": b"3", "d/k": b"4"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(one, {"d/.ditsignore": b"cache/\n"})
    for path, refused in (("cache", True), ("d/cache", False)):
        with pytest.raises(ClientError, match="is not ignored") if refused else nullcontext():
            await asyncio.to_thread(untrack_paths, one, lambda: ada.client, [path])
    write(one, {"cache/c": None})
    assert (await ada.push("one")).changed == 4
    write(two, {"d/cache/a": b"an edit that nobody shall lose"})
    report = await ada.pull("two")
    # The patterns of the tree that comes tell what was untracked, and what was deleted.
    assert (report.files, report.removed) == (1, 1)
    assert read(two).keys() == {"d/.ditsignore", "d/cache/a", "d/cache/b", "d/k"}
    assert await ada.changes("two") == []


async def test_patterns_of_folders_that_are_included_in_part_hold(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"shots/.ditsignore": b"*.tmp\n", "shots/010/a": b"1", "shots/020/a": b"2"})
    write(one, {"shots/020/.ditsignore": b"*.log\n", "top": b"3"})
    await ada.push("one", film)
    await ada.clone(film, "two", only=["shots/010"])
    assert read(two).keys() == {"shots/.ditsignore", "shots/010/a"}
    write(two, {"shots/010/x.tmp": b"4", "shots/010/b": b"5"})
    assert await ada.changes("two") == ["shots/010/b"]
    write(two, {"shots/.ditsignore": b"*.tmp\nb\n"})
    assert await ada.changes("two") == ["shots/.ditsignore"]
    assert (await ada.push("two")).changed == 1
    await ada.pull("one")
    assert read(one).keys() >= {"shots/020/.ditsignore", "shots/020/a", "top"}
    with pytest.raises(ClientError, match="always included"):
        await asyncio.to_thread(exclude_paths, two, ada.client, ["shots/.ditsignore"])
    await asyncio.to_thread(exclude_paths, one, ada.client, ["shots"])
    assert read(one).keys() == {"top"}
    assert await ada.changes("one") == []


async def test_the_same_patterns_in_many_folders_count_as_one_file(ada: Person, film: str) -> None:
    """Together they would be more than what counts."""
    one, two = ada.home / "one", ada.home / "two"
    count = MAX_TOTAL_BYTES // MAX_IGNORE_BYTES + 2
    write(one, {f"{n:02d}/cache": b"%d" % n for n in range(count)})
    await ada.push("one", film)
    await ada.clone(film, "two")
    text = b"cache\n".ljust(MAX_IGNORE_BYTES, b"#")
    write(one, {f"{n:02d}/.ditsignore": text for n in range(count)})
    paths = [f"{n:02d}/cache" for n in range(count)]
    await asyncio.to_thread(untrack_paths, one, lambda: ada.client, paths)
    await ada.push("one")
    assert (await ada.pull("two")).removed == 0
    assert read(two).keys() == {*paths, *(f"{n:02d}/.ditsignore" for n in range(count))}
    assert await ada.changes("two") == []
