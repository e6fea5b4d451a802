"""What Windows refuses: to replace or remove open files, to make links; and what it forgets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dits_client.checkout import files_in_use
from dits_client.checkout.restore import restore_paths
from dits_client.disk import patience
from dits_client.disk.paths import PathDisk
from dits_client.errors import ClientError
from tests.support.client import Person, read, write
from tests.support.disks import use_disk


class WindowsError(PermissionError):
    """As Windows says it, with its own number."""

    def __init__(self, number: int, path: str) -> None:
        super().__init__(13, "Access is denied", path)
        self.winerror = number


class Programs:
    """Programs that have files open, by their names; each refusal is noted."""

    def __init__(self) -> None:
        # How often they are refused: sharing violation or access denied, as the number says.
        self.open: dict[str, int] = {}
        self.number = 32
        self.refused: list[str] = []
        # Those that are seen to be open, how often.
        self.seen: dict[str, int] = {}
        self.disk = PathDisk(self.rename, self.remove, self.link, self.is_in_use)

    def rename(self, source: str, target: str) -> None:
        self._check(target)
        os.replace(source, target)  # noqa: PTH105

    def remove(self, path: str) -> None:
        self._check(path)
        os.remove(path)  # noqa: PTH107

    def is_in_use(self, path: str) -> bool:
        name = Path(path).name
        self.seen[name] = self.seen.get(name, 0) - 1
        return self.seen[name] >= 0

    def link(self, _: str, path: str, __: bool, /) -> None:
        raise WindowsError(1314, path)

    def _check(self, path: str) -> None:
        name = Path(path).name
        if self.open.get(name, 0) > 0:
            self.open[name] -= 1
            self.refused.append(name)
            raise WindowsError(self.number, path)
        # A file that is read-only is neither replaced nor removed.
        if os.path.lexists(path) and not os.lstat(path).st_mode & 0o200:
            raise WindowsError(5, path)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    for module in (patience, files_in_use):
        monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    found = Programs()
    with use_disk(found.disk):
        yield found


@pytest.fixture
async def two(ada: Person, film: str) -> Path:
    """A folder behind its branch: the file `a` is to be replaced, `b` to be removed."""
    write(ada.home / "one", {"a": b"1", "b": b"2", "c": b"3"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(ada.home / "one", {"a": b"11", "b": None, "d/new": b"4"})
    await ada.push("one")
    return ada.home / "two"


@pytest.mark.parametrize(
    ("number", "why"), [(32, "another program has it"), (5, "access is denied")]
)
@pytest.mark.parametrize(("name", "action"), [("a", "write"), ("b", "remove")])
async def test_a_file_in_use_stops_a_pull_that_goes_on_later(
    ada: Person, two: Path, programs: Programs, name: str, action: str, number: int, why: str
) -> None:
    before = read(two)
    programs.number, programs.open[name] = number, 3
    with pytest.raises(
        ClientError, match=f'cannot {action} "{name}": {why}.* open: close it there'
    ):
        await ada.pull("two")
    assert programs.refused == [name] * 3
    assert read(two)[name] == before[name]
    assert (await ada.status("two")).interrupted
    assert await ada.changes("two") == []
    with pytest.raises(ClientError, match="interrupted in this folder: run `dits pull`"):
        await ada.push("two")
    await ada.pull("two")
    assert read(two) == read(ada.home / "one")
    assert await ada.changes("two") == []


async def test_files_in_use_are_all_listed_before_anything_is_begun(
    ada: Person, two: Path, programs: Programs
) -> None:
    before = read(two)
    programs.seen |= {"a": 3, "b": 3, "c": 3}
    with pytest.raises(ClientError, match=r"and run the same command again\):\n  a\n  b$"):
        await ada.pull("two")
    assert read(two) == before
    assert not (await ada.status("two")).interrupted
    # For a moment, once more.
    programs.seen |= {"a": 2, "b": 1}
    await ada.pull("two")
    assert read(two) == read(ada.home / "one")


async def test_a_file_in_use_for_a_moment_is_waited_for(
    ada: Person, two: Path, programs: Programs
) -> None:
    programs.open |= {"a": 2, "b": 1, "state.json": 2, "index": 2}
    await ada.pull("two")
    assert sorted(programs.refused) == ["a", "a", "b", "index", "index", "state.json", "state.json"]
    assert read(two) == read(ada.home / "one")


async def test_read_only_files_are_replaced_and_removed_or_stay_so(
    ada: Person, two: Path, programs: Programs
) -> None:
    for name in ("a", "b", "c"):
        (two / name).chmod(0o444)
    assert await ada.changes("two") == []
    programs.open["a"] = 3
    with pytest.raises(ClientError, match="another program"):
        await ada.pull("two")
    assert read(two)["a"] == (0o444, b"1")
    await ada.pull("two")
    assert {path: found[1] for path, found in read(two).items()} == {
        path: found[1] for path, found in read(ada.home / "one").items()
    }


async def test_a_restore_goes_on_as_well(ada: Person, two: Path, programs: Programs) -> None:
    write(two, {"a": b"mine", "c": b"mine"})
    programs.open["c"] = 3
    with pytest.raises(ClientError, match='cannot write "c"'):
        await asyncio.to_thread(restore_paths, two, ada.client, ["a", "c"], force=True)
    assert read(two)["c"] == (0o644, b"mine")
    await asyncio.to_thread(restore_paths, two, ada.client, ["a", "c"], force=True)
    assert await ada.changes("two") == []


async def test_links_that_the_account_may_not_make_are_named_before_anything_is_written(
    ada: Person, film: str, programs: Programs
) -> None:
    write(ada.home / "one", {"a/link": "../b", "b": b"1"})
    await ada.push("one", film)
    with pytest.raises(
        ClientError, match='"a/link" is a link, and this account may not make links'
    ):
        await ada.clone(film, "two")
    assert read(ada.home / "two") == {}
    await ada.clone(film, "three", only=["b"])
    assert read(ada.home / "three") == {"b": (0o644, b"1")}
    # Nothing of it is a deletion.
    write(ada.home / "three", {"b": b"2"})
    await ada.push("three")
    await ada.pull("one")
    assert read(ada.home / "one") == {"a/link": "../b", "b": (0o644, b"2")}


async def test_execute_bits_are_those_of_the_commit(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"run": b"1", "text": b"2", "later": b"3"})
    (one / "run").chmod(0o755)
    await ada.push("one", film)
    with use_disk(PathDisk()):
        await ada.clone(film, "two")
        # The disk does not keep them, and shows others.
        for name in ("run", "text"):
            (two / name).chmod(0o600)
        assert await ada.changes("two") == []
        write(two, {"run": b"11", "new": b"4"})
        (two / "new").chmod(0o755)
        await ada.push("two")
        (one / "later").chmod(0o755)
    await ada.pull("one")
    modes = {path: found[0] for path, found in read(one).items()}
    assert modes == {"run": 0o755, "text": 0o644, "later": 0o755, "new": 0o644}
    await ada.push("one")
    with use_disk(PathDisk()):
        await ada.pull("two")
        assert await ada.changes("two") == []


async def test_windows_is_told_which_links_lead_to_folders(ada: Person, film: str) -> None:
    """It wants to know when they are made, and does not go up in a path that may be long."""
    made = dict[str, bool]()

    def link(target: str, path: str, is_directory: bool, /) -> None:
        made[target] = is_directory
        os.symlink(target, path)  # noqa: PTH211

    links = {"a/up": "../b", "a/within": "c", "d": "b", "e": "b/f", "g": "none", "h/up": "../a/c"}
    write(ada.home / "one", {"b/f": b"1", "a/c/f": b"2", "z/f": b"3"})
    write(ada.home / "one", {**links})
    await ada.push("one", film)
    with use_disk(PathDisk(link=link)), pytest.MonkeyPatch.context() as patch:
        is_dir = Path.is_dir
        patch.setattr(Path, "is_dir", lambda self: ".." not in self.parts and is_dir(self))
        await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")
    folders = {"../b": True, "c": True, "b": True, "../a/c": True}
    assert {name: made[name] for name in links.values()} == folders | {"b/f": False, "none": False}
