"""The disk of Windows, as far as it can be tried elsewhere; and what is the same on all systems."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dits_client.disk import syncing
from dits_client.disk.directory import Disk
from dits_client.disk.file_lock import FileLock
from dits_client.disk.looks import simplify_stat
from dits_client.disk.paths import PathDirectory, PathDisk, lengthen
from dits_client.disk.reading import HeldFile
from dits_client.terminal import make_streams_safe, quote_argument
from dits_client.threads import run_in_threads
from dits_client.workspace.index import DirectoryRecord, Index, pack_stat
from tests.support.disks import BOTH, use_disk

SYMLINK, JUNCTION, CLOUD_FILE = 0xA000000C, 0xA0000003, 0x9000001A


def look(mode: int, tag: int = 0, **others: int) -> os.stat_result:
    found = SimpleNamespace(
        st_mode=mode,
        st_size=5,
        st_mtime_ns=1,
        st_ctime_ns=2,
        st_ino=3,
        st_reparse_tag=tag,
        **others,
    )
    return cast(os.stat_result, found)


def test_a_junction_is_neither_a_file_nor_a_folder_nor_a_link() -> None:
    assert stat.S_IFMT(simplify_stat(look(stat.S_IFDIR | 0o777, JUNCTION)).st_mode) == 0
    assert stat.S_ISLNK(simplify_stat(look(stat.S_IFLNK | 0o777, SYMLINK)).st_mode)
    # A file that comes from the cloud when it is read is one like others.
    assert stat.S_ISREG(simplify_stat(look(stat.S_IFREG | 0o666, CLOUD_FILE)).st_mode)


def test_a_file_looks_the_same_listed_and_open() -> None:
    """Python shows programs as executable in one way alone, and no number of a file that is listed."""
    listed = look(stat.S_IFREG | 0o666)
    opened = look(stat.S_IFREG | 0o777)
    assert simplify_stat(listed) == simplify_stat(opened)
    assert simplify_stat(listed).st_mode == stat.S_IFREG | 0o644
    assert simplify_stat(look(stat.S_IFREG | 0o444)).st_mode == stat.S_IFREG | 0o444


def test_paths_of_windows_may_be_long() -> None:
    assert lengthen("C:\\a\\b") == "\\\\?\\C:\\a\\b"
    assert lengthen("\\\\server\\share\\a") == "\\\\?\\UNC\\server\\share\\a"
    assert lengthen("\\\\?\\C:\\a") == "\\\\?\\C:\\a"


def test_a_folder_may_be_a_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path ends in a slash, and Windows takes no second one in a path that may be long."""
    looked_at = list[str]()

    def lstat(path: str) -> os.stat_result:
        looked_at.append(path)
        return look(stat.S_IFREG)

    monkeypatch.setattr(os, "lstat", lstat)
    PathDirectory(PathDisk(), "/").get_stat("a")
    PathDirectory(PathDisk(), "/b").get_stat("a")
    assert looked_at == ["/a", "/b/a"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/a"])
def test_a_name_with_a_way_in_it_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "top/a").mkdir(parents=True)
    (tmp_path / "a").touch()
    top = PathDisk().open_top(str(tmp_path / "top"))
    steps: list[Any] = [top.get_stat, top.enter, top.make, top.open_file, top.create_file]
    for step in [*steps, top.remove_file, top.remove_directory]:
        with pytest.raises(OSError, match="Invalid argument"):
            step(name)


@BOTH
def test_a_link_is_written_and_read(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "inner").mkdir()
    top = disk.open_top(str(tmp_path))
    for target in ("inner", "../elsewhere/a", "inner/none"):
        top.write_link(target, "new")
        assert top.read_link("new") == target
        top.rename("new", "link")
    assert disk.can_write_links(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "link"]
    with pytest.raises(OSError, match="symbolic links"):
        top.open_file("link")


@BOTH
def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    top = disk.open_top(str(tmp_path))
    with pytest.raises(IsADirectoryError):
        top.rename("file", "folder")
    with pytest.raises((IsADirectoryError, PermissionError)):
        top.remove_file("folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@BOTH
def test_a_held_file_stays_as_it_was(tmp_path: Path, disk: Disk) -> None:
    with use_disk(disk):
        (tmp_path / "a").write_bytes(b"before")
        held = HeldFile(tmp_path / "a")
        (tmp_path / "b").write_bytes(b"after!!")
        disk.replace(tmp_path / "b", tmp_path / "a")
        assert (held.read_at(3, 3), held.size) == (b"ore", 6)
        held.close()
        held.close()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, time; from pathlib import Path; from dits_client.disk.file_lock import FileLock;"
        "lock = FileLock(Path(sys.argv[1])); print(lock.try_acquire(), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(path)]
    lock = FileLock(path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not lock.try_acquire()
        other.kill()
    assert lock.try_acquire()
    lock.close()


def test_without_numbers_of_files_equal_times_and_sizes_are_no_move(tmp_path: Path) -> None:
    """Of files that are written together, the times may be the same, too: one would count as the other."""
    known = pack_stat(simplify_stat(look(stat.S_IFREG | 0o644)))
    index = Index({"": DirectoryRecord(b"m" * 32, "a", known)})
    assert index.map_files() == {known: (b"m" * 32, "a")}
    with use_disk(PathDisk()):
        assert index.map_files() == {}


@pytest.mark.parametrize("knows", [True, False])
def test_the_memory_of_a_drive_is_emptied_where_the_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knows: bool
) -> None:
    steps: list[object] = []

    def control(_: int, command: int) -> None:
        steps.append(command)
        if not knows:
            raise OSError(45, "Operation not supported")

    monkeypatch.setattr(syncing, "_FULL_SYNC", 51)
    monkeypatch.setattr("fcntl.fcntl", control)
    monkeypatch.setattr(os, "fsync", steps.append)
    syncing.sync_descriptor(3)
    assert steps == ([51] if knows else [51, 3])


def test_no_name_is_an_error_when_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "cp1252"))
    make_streams_safe()
    print("film \u65e5 \u00fc", flush=True)
    assert written.getvalue() == b"film \\u65e5 \xfc\n"


def test_a_wait_for_threads_ends_with_the_first_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not at the end of a wait, of which there are several."""
    monkeypatch.setattr("dits_client.threads._WAIT_SECONDS", 0.001)
    stopped: list[int] = []

    def work(number: int) -> None:
        if number == 1:
            raise ValueError("broken")
        while not stopped:
            os.sched_yield()

    with pytest.raises(ValueError, match="broken"):
        run_in_threads(2, work, lambda: stopped.append(1))


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("main", "main"),
        ("shots/\u00fcber", "shots/\u00fcber"),
        ("a b", '"a b"'),
        ("a&calc", '"a&calc"'),
        # For PowerShell alone.
        ("$(calc)", "'$(calc)'"),
    ],
)
def test_names_that_both_shells_of_windows_take_are_quoted_for_both(
    monkeypatch: pytest.MonkeyPatch, name: str, quoted: str
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert quote_argument(name) == quoted
