"""Scanning a folder: what belongs to it, and which names can be stored."""

import os
import re
import shutil
import socket
import stat
import time
import unicodedata
from contextlib import nullcontext
from dataclasses import astuple
from pathlib import Path

import pytest

from dits_client.disk.directory import Directory
from dits_client.errors import ClientError
from dits_client.push.refusals import check_snapshot
from dits_client.workspace.ignore import IgnoreRules
from dits_client.workspace.index import DIRECTORY_STAT, Index
from dits_client.workspace.safe_paths import SafePaths
from dits_client.workspace.scan import scan_directory
from dits_client.workspace.snapshot import Snapshot
from shared.formats.limits import MAX_DEPTH
from tests.support.snapshots import OLD, list_leaves, take_snapshot, write_old_files


def test_own_and_ignored_files_are_left_out(tmp_path: Path) -> None:
    write_old_files(
        tmp_path,
        {
            ".dits/state.json": b"",
            "sub/.DITS/state.json": b"",
            "sub/.DITS/x": b"",
            ".ditsignore": b"# comment\n*.tmp\n/build\n!keep.tmp\ncache/\nsub/*.log\n",
            "a.tmp": b"",
            "keep.tmp": b"",
            "build/x": b"",
            "sub/build/x": b"",
            "sub/cache/x": b"",
            "sub/a.log": b"",
            "a.log": b"",
            "cache2": b"",
        },
    )
    index = Index()
    tree = take_snapshot(tmp_path, index).tree
    assert sorted(list_leaves(index, tree)) == [
        ".ditsignore",
        "a.log",
        "cache2",
        "keep.tmp",
        "sub/build/x",
    ]


def test_a_folder_without_ignore_rules_is_read_as_one_with_rules(tmp_path: Path) -> None:
    """What is read in one go has nothing that needs a look at each entry."""
    names = [
        "a",
        "b/a",
        "b/c/d",
        "e\\f",
        "\u00e9/x",
        "e\u0301y",
        ".dits-00/x",
        "l",
        "z/.Dits/x",
        "z/y",
    ]
    for name in names:
        write_old_files(tmp_path, {name: "a" if name == "l" else b"1"})
    (tmp_path / "empty/inner").mkdir(parents=True)
    (tmp_path / "b/.dits-0123456789abcdef.part").write_bytes(b"")
    os.mkfifo(tmp_path / "b/c/pipe")
    os.mkfifo(tmp_path / "b/pipe")
    warned: list[list[str]] = [[], []]
    plain, careful = (
        [astuple(each) for each in scan_directory(tmp_path, warned[at].append, ignore=rules)]
        for at, rules in enumerate([IgnoreRules(""), IgnoreRules("no-such-name")])
    )
    assert plain == careful
    assert sorted(warned[0]) == sorted(warned[1])


def test_the_last_pattern_decides() -> None:
    ignore = IgnoreRules("*.png\n!a*.png\nab*.png\n\n  \n")
    assert ignore.matches("x/b.png", is_directory=False)
    assert not ignore.matches("x/a.png", is_directory=False)
    assert ignore.matches("abc.png", is_directory=False)
    assert not IgnoreRules("# nothing\n\n")


def test_special_files_are_skipped_with_a_warning(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"a": b"1"})
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        warnings: list[str] = []
        folders = scan_directory(tmp_path, warnings.append)
    assert folders[0].names == ["a"]
    assert len(warnings) == 2
    assert all("skipped" in warning for warning in warnings)


def test_links_are_not_followed(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"a/x": b"1", "loop": ".", "out": "/etc", "dangling": "nowhere"})
    index = Index()
    entries = list_leaves(index, take_snapshot(tmp_path, index).tree)
    assert sorted(entries) == ["a/x", "dangling", "loop", "out"]
    assert entries["out"].symlink.target == "/etc"


@pytest.mark.parametrize("name", [b"\xff", b"back\\slash", b"caf\xe9"])
def test_names_that_cannot_be_stored_are_named_and_left_out(tmp_path: Path, name: bytes) -> None:
    write_old_files(tmp_path, {"good": b"1"})
    for place in (b"", b"inner"):
        folder = os.path.join(os.fsencode(tmp_path), place)  # noqa: PTH118
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        with open(os.path.join(folder, name), "wb"):  # noqa: PTH123, PTH118
            pass
    (top,) = scan_directory(tmp_path)
    assert top.names == ["good"]
    assert len(top.unusable) == 2
    assert all(re.fullmatch(r'the name ".*: rename it', told) for told in top.unusable.values())


def test_links_that_cannot_be_stored_are_named_and_left_out(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"good": "a", "long": "x/" * 2040 + "xxxxxxxxxxxxxxx"})
    (tmp_path / "latin").symlink_to(os.fsdecode(b"caf\xe9"))
    index = Index()
    snapshot = take_snapshot(tmp_path, index)
    assert sorted(list_leaves(index, snapshot.tree)) == ["good", "long"]
    assert list(snapshot.unusable.values()) == [
        'the link "latin" points at a name that is not UTF-8'
    ]


def test_names_are_stored_in_nfc(tmp_path: Path) -> None:
    spelled = unicodedata.normalize("NFD", "caf\u00e9")
    write_old_files(tmp_path, {f"{spelled}/x": b"1", f"{spelled}.txt": b"2"})
    index = Index()
    snapshot = take_snapshot(tmp_path, index)
    assert sorted(list_leaves(index, snapshot.tree)) == ["caf\u00e9.txt", "caf\u00e9/x"]
    assert snapshot.get_source("caf\u00e9.txt").path == str(tmp_path / f"{spelled}.txt")
    assert take_snapshot(tmp_path, index).files_read == 0


@pytest.mark.parametrize("kinds", [("file", "file"), ("dir", "dir"), ("file", "dir")])
def test_of_names_that_are_the_same_in_nfc_the_one_in_nfc_counts(
    tmp_path: Path, kinds: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, form in zip(kinds, ("NFC", "NFD"), strict=True):
        path = tmp_path / unicodedata.normalize(form, "\u00e9")  # type: ignore[arg-type]
        write_old_files(path, {"x": b""}) if kind == "dir" else path.write_bytes(b"")
    real = os.scandir
    for reverse in (False, True):
        # The disk may list them in any order.
        def in_order(path: str, reverse: bool = reverse) -> object:
            listed = sorted(real(path), key=lambda entry: entry.name, reverse=reverse)
            return nullcontext(listed)

        monkeypatch.setattr(os, "scandir", in_order)
        index = Index()
        snapshot = take_snapshot(tmp_path, index)
        assert list(list_leaves(index, snapshot.tree)) == [
            "\u00e9" if kinds[0] == "file" else "\u00e9/x"
        ]
        assert snapshot.directories[0].disk_names == {}
        assert list(snapshot.unusable.values()) == [
            r"the name 'e\u0301' is the same as another in Unicode's NFC: rename one of them"
        ]


def test_paths_beyond_the_limit_are_named_and_left_out(tmp_path: Path) -> None:
    deep = "/".join(["x" * 200] * 5)
    write_old_files(tmp_path, {f"{deep}/y": b""})
    assert take_snapshot(tmp_path, Index()).files == 1
    write_old_files(tmp_path, {f"{deep}/{'y' * 20}": b""})
    snapshot = take_snapshot(tmp_path, Index())
    assert snapshot.files == 1
    (told,) = snapshot.unusable.values()
    assert "is longer than 1024 bytes" in told


def test_folders_beyond_the_limit_are_refused_before_a_file_is_read(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"d/" * (MAX_DEPTH - 1) + "x": b"1"})
    check_snapshot(Snapshot(tmp_path, Index()))
    write_old_files(tmp_path, {"d/" * MAX_DEPTH + "x": b"1"})
    with pytest.raises(ClientError, match="is too deep: at most 256"):
        check_snapshot(Snapshot(tmp_path, Index()))


def test_new_folders_that_vanish_meanwhile_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "top"
    write_old_files(top, {"a": b"1", "gone/x": b"2", "link/x": b"3", "z/y": b"4"})
    write_old_files(tmp_path, {"outside/secret": b"5"})
    real = SafePaths.open_directory

    def open_directory(paths: SafePaths, path: str, *, create: bool = False) -> Directory:
        if path in ("gone", "link"):
            shutil.rmtree(top / path)
        if path == "link":
            (top / path).symlink_to(tmp_path / "outside")
        return real(paths, path, create=create)

    monkeypatch.setattr(SafePaths, "open_directory", open_directory)
    assert [found.path for found in scan_directory(top)] == ["", "z"]


def test_new_links_that_vanish_meanwhile_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old_files(tmp_path, {"a": b"1", "l": "a", "b/l": "x"})
    real = os.readlink

    def readlink(path: str, *, dir_fd: int) -> str:
        os.unlink(path, dir_fd=dir_fd)
        return real(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "readlink", readlink)
    index = Index()
    assert list(list_leaves(index, take_snapshot(tmp_path, index).tree)) == ["a"]


def test_missing_and_unreadable_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="no such file"):
        scan_directory(tmp_path / "none")
    write_old_files(tmp_path, {"a": b"1"})
    with pytest.raises(ClientError, match="not a directory"):
        scan_directory(tmp_path / "a")


def test_stats_and_names_are_sorted_together(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"b": b"1", "a/x": b"", "c": b"", "a.b": b""})
    (top, inner) = scan_directory(tmp_path)
    assert top.names == ["a", "a.b", "b", "c"]
    assert top.stats[0] == DIRECTORY_STAT
    assert inner.path == "a"
    assert stat.S_ISREG((tmp_path / "b").stat().st_mode)
    assert time.time_ns() > OLD
