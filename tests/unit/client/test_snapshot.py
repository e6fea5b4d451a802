"""Snapshots: a folder becomes a tree, and only changed files are read again."""

import os
import time
from pathlib import Path

import pytest
from blake3 import blake3

from dits_client.content.manifest import iterate_manifests
from dits_client.errors import ClientError
from dits_client.workspace.index import UNKNOWN_STAT, Index
from dits_client.workspace.read_files import ReadResult
from dits_client.workspace.snapshot import Snapshot
from shared.formats import manifests
from shared.formats.canonical import EMPTY_HASH
from shared.formats.recipes import decode_recipe
from tests.support.snapshots import OLD, list_leaves, load_manifest, take_snapshot, write_old_files


def test_a_tree_is_canonical_and_complete(tmp_path: Path) -> None:
    big = os.urandom(300_000)
    write_old_files(
        tmp_path, {"b/x": b"x", "b.txt": b"", "a/c/big": big, "a/l": "../b/x", "z\u00e9": b"z"}
    )
    (tmp_path / "b" / "x").chmod(0o751)
    (tmp_path / "void" / "inner").mkdir(parents=True)
    index = Index()
    snapshot = take_snapshot(tmp_path, index)
    assert (snapshot.changed, snapshot.files, snapshot.files_read) == (True, 5, 4)
    entries = list_leaves(index, snapshot.tree)
    assert sorted(entries) == ["a/c/big", "a/l", "b.txt", "b/x", "z\u00e9"]
    assert entries["b/x"].file.mode == 0o751
    assert entries["a/c/big"].file.hash == blake3(big).digest()
    assert entries["a/l"].symlink.target == "../b/x"
    names = list(iterate_manifests(lambda name: load_manifest(index, name), snapshot.tree, set()))
    assert names[-1] == snapshot.tree
    for name in names:
        content = load_manifest(index, name)
        assert manifests.encode_manifest(manifests.decode_manifest(content)) == content


def test_an_empty_folder_has_the_empty_tree(tmp_path: Path) -> None:
    assert take_snapshot(tmp_path, Index()).tree == EMPTY_HASH


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    root, path = tmp_path / "root", tmp_path / "index"
    write_old_files(root, {"a/one": b"1", "a/two": b"2", "b/three": b"3", "l": "a"})
    index = Index()
    first = take_snapshot(root, index)
    index.save(path, recipes=False)
    again = Index.open(path)
    second = take_snapshot(root, again)
    assert (second.changed, second.files_read, second.tree) == (False, 0, first.tree)
    again.close()


def test_only_changed_files_are_read_again(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"a/one": b"1", "a/two": b"2", "b/three": b"3", "c/four": b"4"})
    index = Index()
    take_snapshot(tmp_path, index)
    write_old_files(tmp_path, {"a/one": b"one"})
    (tmp_path / "b" / "three").unlink()
    read: list[str] = []
    snapshot = Snapshot(tmp_path, index)
    snapshot.complete(lambda item: read.append(item.source.label))
    assert read == ["a/one"]
    assert sorted(list_leaves(index, snapshot.tree)) == ["a/one", "a/two", "c/four"]
    assert sorted(index.records) == ["", "a", "c"]
    fresh = Index()
    assert take_snapshot(tmp_path, fresh).tree == snapshot.tree


@pytest.mark.parametrize("how", ["content", "mode", "kind", "same size and time"])
def test_every_kind_of_change_is_seen(tmp_path: Path, how: str) -> None:
    write_old_files(tmp_path, {"a": b"one"})
    path = tmp_path / "a"
    index = Index()
    before = take_snapshot(tmp_path, index).tree
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
    assert take_snapshot(tmp_path, index).tree != before


def test_moved_folders_are_not_read_again(tmp_path: Path) -> None:
    write_old_files(tmp_path, {f"old/{n}": os.urandom(100) for n in range(10)})
    index = Index()
    before = list_leaves(index, take_snapshot(tmp_path, index).tree)
    (tmp_path / "old").rename(tmp_path / "new")
    snapshot = take_snapshot(tmp_path, index)
    assert snapshot.files_read == 0
    after = list_leaves(index, snapshot.tree)
    assert {f"new/{n}": before[f"old/{n}"].file for n in range(10)} == {
        path: entry.file for path, entry in after.items()
    }


def test_files_changed_just_now_are_read_again(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"a": b"1"}, age=False)
    index = Index()
    changed = (tmp_path / "a").stat().st_ctime_ns
    just_then = (changed - time.time_ns()) / 1e9
    assert take_snapshot(tmp_path, index, later=just_then).files_read == 1
    assert take_snapshot(tmp_path, index).files_read == 1
    assert take_snapshot(tmp_path, index).files_read == 0


def test_an_edit_in_the_same_tick_that_sets_the_time_back_is_seen(tmp_path: Path) -> None:
    """Nothing tells such a file from what it was, so the first look at it is not trusted."""
    index, path = Index(), tmp_path / "a"
    write_old_files(tmp_path, {"a": b"1"})
    just_then = (path.stat().st_ctime_ns - time.time_ns()) / 1e9
    before = take_snapshot(tmp_path, index, later=just_then).tree
    write_old_files(tmp_path, {"a": b"2"})
    # As if both were in one tick: the index has what it would have then.
    record = index.records[""]
    assert record.stats == UNKNOWN_STAT
    assert take_snapshot(tmp_path, index).tree != before


def test_a_file_that_keeps_changing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old_files(tmp_path, {"a": b"1" * 100})
    real = os.read

    def grow(descriptor: int, size: int) -> bytes:
        with (tmp_path / "a").open("ab") as file:
            file.write(b"2")
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", grow)
    with pytest.raises(ClientError, match='"a" keeps changing'):
        take_snapshot(tmp_path, Index())


def test_a_file_changed_once_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old_files(tmp_path, {"a": b"1" * 100})
    real, left = os.read, [1]

    def grow(descriptor: int, size: int) -> bytes:
        if left:
            left.pop()
            (tmp_path / "a").write_bytes(b"3" * 50)
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", grow)
    index = Index()
    tree = take_snapshot(tmp_path, index).tree
    assert list_leaves(index, tree)["a"].file.hash == blake3(b"3" * 50).digest()


def test_a_file_that_goes_while_the_folder_is_read_is_left_out(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"a/gone": b"1", "stays": b"2"})
    index = Index()
    snapshot = Snapshot(tmp_path, index)
    (tmp_path / "a" / "gone").unlink()
    snapshot.complete()
    assert list(list_leaves(index, snapshot.tree)) == ["stays"]


def test_recipes_of_large_files_are_kept(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"a": os.urandom(2_000_000)})
    index = Index()
    read: list[ReadResult] = []
    snapshot = Snapshot(tmp_path, index)
    snapshot.complete(read.append)
    file = list_leaves(index, snapshot.tree)["a"].file
    assert not file.chunk_sizes
    assert file.recipe_hashes == blake3(read[0].recipes[0]).digest()
    recipe = decode_recipe(load_manifest(index, file.recipe_hashes))
    assert list(recipe.chunk_sizes) == read[0].cut.sizes
    assert sum(recipe.chunk_sizes) == file.size == 2_000_000


def test_a_damaged_index_costs_time_only(tmp_path: Path) -> None:
    root, path = tmp_path / "root", tmp_path / "index"
    write_old_files(root, {"a/one": b"1", "a/two": b"2"})
    index = Index()
    first = take_snapshot(root, index)
    index.save(path, recipes=False)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in a manifest
    path.write_bytes(content)
    write_old_files(root, {"a/one": b"changed", "three": b"3"})
    damaged = Index.open(path)
    second = take_snapshot(root, damaged)
    assert second.tree != first.tree
    assert second.tree == take_snapshot(root, Index()).tree
    damaged.close()


def test_files_with_times_before_1970_are_told_apart(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"a": b"one", "b": b"two", "link": "a"})
    times = (-(10**9), -(10**9))
    for name in ("a", "b", "link"):
        os.utime(tmp_path / name, ns=times, follow_symlinks=False)
    index = Index()
    first = list_leaves(index, take_snapshot(tmp_path, index).tree)
    assert [entry.WhichOneof("kind") for entry in first.values()] == ["file", "file", "symlink"]
    assert take_snapshot(tmp_path, index).files_read == 0
    write_old_files(tmp_path, {"a": b"longer", "new": b"three"})
    for name in ("a", "new"):
        os.utime(tmp_path / name, ns=times)
    found = list_leaves(index, take_snapshot(tmp_path, index).tree)
    hashes = {name: entry.file.hash for name, entry in found.items() if name != "link"}
    wanted = {"a": b"longer", "b": b"two", "new": b"three"}
    assert hashes == {name: blake3(content).digest() for name, content in wanted.items()}
