"""Scanning a folder and making a tree of it, again and again."""

import os
import socket
import stat
import time
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.manifest import compare_trees, iterate_manifests
from dits_client.errors import ClientError
from dits_client.workspace.ignore import IgnoreRules
from dits_client.workspace.index import DIRECTORY_STAT, Index
from dits_client.workspace.read_files import ReadResult, is_racy
from dits_client.workspace.scan import scan_directory
from dits_client.workspace.snapshot import Snapshot
from shared.formats import manifests
from shared.formats.canonical import EMPTY_HASH
from shared.formats.recipes import decode_recipe

OLD = 1_600_000_000_000_000_001


def write(root: Path, files: Mapping[str, bytes | str], *, age: bool = True) -> None:
    """Make files (bytes) and links (str); old enough for the index to trust them."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content)
            continue
        path.write_bytes(content)
        if age:
            os.utime(path, ns=(OLD, OLD))


def take(root: Path, index: Index) -> Snapshot:
    snapshot = Snapshot(root, index)
    snapshot.complete()
    return snapshot


def load(index: Index, name: bytes) -> bytes:
    content = index.objects.get(name)
    assert content is not None
    return content


def leaves(index: Index, tree: bytes) -> dict[str, Entry]:
    found = compare_trees(lambda name: load(index, name), None, tree)
    return {change.path: change.new for change in found if change.new is not None}


def test_a_tree_is_canonical_and_complete(tmp_path: Path) -> None:
    big = os.urandom(300_000)
    write(tmp_path, {"b/x": b"x", "b.txt": b"", "a/c/big": big, "a/l": "../b/x", "z\u00e9": b"z"})
    (tmp_path / "b" / "x").chmod(0o751)
    (tmp_path / "void" / "inner").mkdir(parents=True)
    index = Index()
    snapshot = take(tmp_path, index)
    assert (snapshot.changed, snapshot.files, snapshot.files_read) == (True, 5, 4)
    entries = leaves(index, snapshot.tree)
    assert sorted(entries) == ["a/c/big", "a/l", "b.txt", "b/x", "z\u00e9"]
    assert entries["b/x"].file.mode == 0o751
    assert entries["a/c/big"].file.hash == blake3(big).digest()
    assert entries["a/l"].symlink.target == "../b/x"
    names = list(iterate_manifests(lambda name: load(index, name), snapshot.tree, set()))
    assert names[-1] == snapshot.tree
    for name in names:
        content = load(index, name)
        assert manifests.encode_manifest(manifests.decode_manifest(content)) == content


def test_an_empty_folder_has_the_empty_tree(tmp_path: Path) -> None:
    assert take(tmp_path, Index()).tree == EMPTY_HASH


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    root, path = tmp_path / "root", tmp_path / "index"
    write(root, {"a/one": b"1", "a/two": b"2", "b/three": b"3", "l": "a"})
    index = Index()
    first = take(root, index)
    index.save(path, recipes=False)
    again = Index.open(path)
    second = take(root, again)
    assert (second.changed, second.files_read, second.tree) == (False, 0, first.tree)
    again.close()


def test_only_changed_files_are_read_again(tmp_path: Path) -> None:
    write(tmp_path, {"a/one": b"1", "a/two": b"2", "b/three": b"3", "c/four": b"4"})
    index = Index()
    take(tmp_path, index)
    write(tmp_path, {"a/one": b"one"})
    (tmp_path / "b" / "three").unlink()
    read: list[str] = []
    snapshot = Snapshot(tmp_path, index)
    snapshot.complete(lambda item: read.append(item.source.label))
    assert read == ["a/one"]
    assert sorted(leaves(index, snapshot.tree)) == ["a/one", "a/two", "c/four"]
    assert sorted(index.records) == ["", "a", "c"]
    fresh = Index()
    assert take(tmp_path, fresh).tree == snapshot.tree


@pytest.mark.parametrize("how", ["content", "mode", "kind", "same size and time"])
def test_every_kind_of_change_is_seen(tmp_path: Path, how: str) -> None:
    write(tmp_path, {"a": b"one"})
    path = tmp_path / "a"
    index = Index()
    before = take(tmp_path, index).tree
    if how == "content":
        path.write_bytes(b"two")
    elif how == "mode":
        path.chmod(0o600)
    elif how == "kind":
        path.unlink()
        path.symlink_to("one")
    else:
        # The inode's change time cannot be set back.
        path.write_bytes(b"two")
        os.utime(path, ns=(OLD, OLD))
    assert take(tmp_path, index).tree != before


def test_moved_folders_are_not_read_again(tmp_path: Path) -> None:
    write(tmp_path, {f"old/{n}": os.urandom(100) for n in range(10)})
    index = Index()
    before = leaves(index, take(tmp_path, index).tree)
    (tmp_path / "old").rename(tmp_path / "new")
    snapshot = take(tmp_path, index)
    assert snapshot.files_read == 0
    after = leaves(index, snapshot.tree)
    assert {f"new/{n}": before[f"old/{n}"].file for n in range(10)} == {
        path: entry.file for path, entry in after.items()
    }


def test_files_changed_just_now_are_read_again(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"1"}, age=False)
    index = Index()
    assert take(tmp_path, index).files_read == 1
    assert take(tmp_path, index).files_read == 1
    os.utime(tmp_path / "a", ns=(OLD, OLD))
    assert take(tmp_path, index).files_read == 1
    assert take(tmp_path, index).files_read == 0


def test_racy_is_what_a_later_change_could_leave_the_same() -> None:
    now = 1_700_000_000_123_456_789
    assert is_racy(now, now)
    assert is_racy(now - 10_000_000, now)
    assert not is_racy(now - 30_000_000, now)
    # A file system that counts whole seconds.
    assert is_racy(1_699_999_999_000_000_000, now)
    assert not is_racy(1_699_999_990_000_000_000, now)


def test_a_file_that_keeps_changing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a": b"1" * 100})
    real = os.readv

    def grow(descriptor: int, buffers: list[memoryview]) -> int:
        with (tmp_path / "a").open("ab") as file:
            file.write(b"2")
        return real(descriptor, buffers)

    monkeypatch.setattr(os, "readv", grow)
    with pytest.raises(ClientError, match='"a" keeps changing'):
        take(tmp_path, Index())


def test_a_file_changed_once_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a": b"1" * 100})
    real, left = os.readv, [1]

    def grow(descriptor: int, buffers: list[memoryview]) -> int:
        if left:
            left.pop()
            (tmp_path / "a").write_bytes(b"3" * 50)
        return real(descriptor, buffers)

    monkeypatch.setattr(os, "readv", grow)
    index = Index()
    tree = take(tmp_path, index).tree
    assert leaves(index, tree)["a"].file.hash == blake3(b"3" * 50).digest()


def test_a_file_that_goes_while_the_folder_is_read_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"a/gone": b"1", "stays": b"2"})
    index = Index()
    snapshot = Snapshot(tmp_path, index)
    (tmp_path / "a" / "gone").unlink()
    snapshot.complete()
    assert list(leaves(index, snapshot.tree)) == ["stays"]


def test_recipes_of_large_files_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {"a": os.urandom(2_000_000)})
    index = Index()
    read: list[ReadResult] = []
    snapshot = Snapshot(tmp_path, index)
    snapshot.complete(read.append)
    file = leaves(index, snapshot.tree)["a"].file
    assert not file.chunk_sizes
    assert file.recipe_hashes == blake3(read[0].recipes[0]).digest()
    recipe = decode_recipe(load(index, file.recipe_hashes))
    assert list(recipe.chunk_sizes) == read[0].cut.sizes
    assert sum(recipe.chunk_sizes) == file.size == 2_000_000


def test_a_damaged_index_costs_time_only(tmp_path: Path) -> None:
    root, path = tmp_path / "root", tmp_path / "index"
    write(root, {"a/one": b"1", "a/two": b"2"})
    index = Index()
    first = take(root, index)
    index.save(path, recipes=False)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in a manifest
    path.write_bytes(content)
    write(root, {"a/one": b"changed", "three": b"3"})
    damaged = Index.open(path)
    second = take(root, damaged)
    assert second.tree != first.tree
    assert second.tree == take(root, Index()).tree
    damaged.close()


def test_own_and_ignored_files_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            ".dits/state.json": b"",
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
    tree = take(tmp_path, index).tree
    assert sorted(leaves(index, tree)) == [
        ".ditsignore",
        "a.log",
        "cache2",
        "keep.tmp",
        "sub/build/x",
    ]


def test_the_last_pattern_decides() -> None:
    ignore = IgnoreRules("*.png\n!a*.png\nab*.png\n\n  \n")
    assert ignore.matches("x/b.png", is_directory=False)
    assert not ignore.matches("x/a.png", is_directory=False)
    assert ignore.matches("abc.png", is_directory=False)
    assert not IgnoreRules("# nothing\n\n")


def test_special_files_are_skipped_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"1"})
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        warnings: list[str] = []
        folders = scan_directory(tmp_path, warnings.append)
    assert folders[0].names == ["a"]
    assert len(warnings) == 2
    assert all("skipped" in warning for warning in warnings)


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"a/x": b"1", "loop": ".", "out": "/etc", "dangling": "nowhere"})
    index = Index()
    entries = leaves(index, take(tmp_path, index).tree)
    assert sorted(entries) == ["a/x", "dangling", "loop", "out"]
    assert entries["out"].symlink.target == "/etc"


@pytest.mark.parametrize("name", [b"\xff", b"back\\slash", b"caf\xe9"])
def test_names_that_cannot_be_stored_are_one_clear_error(tmp_path: Path, name: bytes) -> None:
    with open(os.path.join(os.fsencode(tmp_path), name), "wb"):  # noqa: PTH123, PTH118
        pass
    with pytest.raises(ClientError, match=r"the name '.*: rename it"):
        scan_directory(tmp_path)


def test_names_are_stored_in_nfc(tmp_path: Path) -> None:
    spelled = unicodedata.normalize("NFD", "caf\u00e9")
    write(tmp_path, {f"{spelled}/x": b"1", f"{spelled}.txt": b"2"})
    index = Index()
    snapshot = take(tmp_path, index)
    assert sorted(leaves(index, snapshot.tree)) == ["caf\u00e9.txt", "caf\u00e9/x"]
    assert snapshot.get_os_path("caf\u00e9.txt") == str(tmp_path / f"{spelled}.txt")
    assert take(tmp_path, index).files_read == 0


@pytest.mark.parametrize("kinds", [("file", "file"), ("dir", "dir"), ("file", "dir")])
def test_names_that_are_the_same_in_nfc_are_an_error(
    tmp_path: Path, kinds: tuple[str, str]
) -> None:
    for kind, form in zip(kinds, ("NFC", "NFD"), strict=True):
        path = tmp_path / unicodedata.normalize(form, "\u00e9")  # type: ignore[arg-type]
        write(path, {"x": b""}) if kind == "dir" else path.write_bytes(b"")
    with pytest.raises(ClientError, match="the same in Unicode's NFC"):
        scan_directory(tmp_path)


def test_paths_beyond_the_limit_are_an_error(tmp_path: Path) -> None:
    deep = "/".join(["x" * 200] * 5)
    write(tmp_path, {f"{deep}/y": b""})
    assert take(tmp_path, Index()).files == 1
    write(tmp_path, {f"{deep}/{'y' * 20}": b""})
    with pytest.raises(ClientError, match="is longer than 1024 bytes"):
        scan_directory(tmp_path)


def test_missing_and_unreadable_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="no such file"):
        scan_directory(tmp_path / "none")
    write(tmp_path, {"a": b"1"})
    with pytest.raises(ClientError, match="not a directory"):
        scan_directory(tmp_path / "a")


def test_stats_and_names_are_sorted_together(tmp_path: Path) -> None:
    write(tmp_path, {"b": b"1", "a/x": b"", "c": b"", "a.b": b""})
    (top, inner) = scan_directory(tmp_path)
    assert top.names == ["a", "a.b", "b", "c"]
    assert top.stats[0] == DIRECTORY_STAT
    assert inner.path == "a"
    assert stat.S_ISREG((tmp_path / "b").stat().st_mode)
    assert time.time_ns() > OLD
