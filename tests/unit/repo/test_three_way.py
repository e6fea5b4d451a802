"""Three-way merges of whole trees, level by level, against a merge of all their paths."""

from __future__ import annotations

from collections.abc import Mapping

from dits.repo.v1.manifest_pb2 import Directory, Entry, Manifest
from hypothesis import given
from hypothesis import strategies as st

from services.repo.merge.three_way import (
    Resolutions,
    Resolve,
    Side,
    Triple,
    apply_edits,
    merge_level,
)
from shared.formats import manifests
from shared.formats.canonical import content_hash
from tests.support.trees import build

Files = dict[str, str]
# No path is a directory on one side and a link on the other: those are tried by themselves.
PATHS = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a", "d/e/b", "f/a"])
FILES = st.dictionaries(PATHS, st.sampled_from("123"))


class Store:
    """Manifests by hash."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def add(self, files: Mapping[str, str]) -> str:
        """Adds a tree of links; returns its hash."""
        tree = build(files)
        self.contents |= tree.manifests
        return tree.root

    def open(self, digest: str | None) -> Manifest:
        """Returns a manifest."""
        return Manifest() if digest is None else Manifest.FromString(self.contents[digest])

    def list_files(self, digest: str | None, prefix: str = "") -> Files:
        """Returns all links below a directory."""
        files: Files = {}
        for entry in self.open(digest).entries:
            if entry.HasField("directory"):
                child = entry.directory.manifest_hash.hex()
                files |= self.list_files(child, f"{prefix}{entry.name}/")
            else:
                files[prefix + entry.name] = entry.symlink.target
        return files

    def merge(self, triple: Triple, resolve: Resolve) -> tuple[str | None, list[str]]:
        """Merges as the server does; returns the tree and the paths in conflict."""
        base, ours, theirs = (self.open(name) for name in (triple.base, triple.ours, triple.theirs))
        level = merge_level(triple, base, ours, theirs, resolve)
        conflicts = [conflict.path for conflict in level.conflicts]
        for name, below in level.below.items():
            child, more = self.merge(below, resolve)
            conflicts += more
            directory = Directory(manifest_hash=bytes.fromhex(child or ""))
            level.edits[name] = Entry(name=name, directory=directory) if child else None
        manifest = apply_edits(self.open(triple.ours), level.edits)
        if not manifest.entries and triple.prefix:
            return None, conflicts
        content = manifests.encode_manifest(manifest)
        manifests.decode_manifest(content)
        tree = content_hash(content)
        self.contents[tree] = content
        return tree, conflicts


def merge_paths(
    base: Files, ours: Files, theirs: Files, side: Side | None
) -> tuple[Files, list[str]]:
    """The model: each path by itself."""
    merged: Files = {}
    conflicts = []
    for path in base.keys() | ours.keys() | theirs.keys():
        was, mine, other = base.get(path), ours.get(path), theirs.get(path)
        taken = mine
        if was == mine:
            taken = other
        elif other not in (was, mine):
            conflicts.append(path)
            taken = other if side is Side.THEIRS else mine
        if taken is not None:
            merged[path] = taken
    return merged, sorted(conflicts)


@given(FILES, FILES, FILES, st.sampled_from([None, Side.OURS, Side.THEIRS]))
def test_trees_are_merged_as_their_paths_are(
    base: Files, ours: Files, theirs: Files, side: Side | None
) -> None:
    store = Store()
    triple = Triple("", *map(store.add, (base, ours, theirs)))
    tree, conflicts = store.merge(triple, Resolutions(other=side).resolve)
    merged, expected = merge_paths(base, ours, theirs, side)
    assert sorted(conflicts) == expected
    assert store.list_files(tree) == merged
    # What both sides would make of each other is the same, but for the conflicts.
    mirrored, again = store.merge(
        Triple("", triple.base, triple.theirs, triple.ours), Resolutions(other=None).resolve
    )
    assert sorted(again) == expected
    if not expected:
        assert mirrored == tree


def test_a_file_against_a_directory_is_one_conflict() -> None:
    store = Store()
    base, ours, theirs = {"a/b": "1", "c": "1"}, {"a": "x", "c": "1"}, {"a/b": "2", "c": "2"}
    triple = Triple("", *map(store.add, (base, ours, theirs)))
    for side, merged in (
        (Side.OURS, {"a": "x", "c": "2"}),
        (Side.THEIRS, {"a/b": "2", "c": "2"}),
    ):
        tree, conflicts = store.merge(triple, Resolutions([("a", side)]).resolve)
        assert conflicts == ["a"]
        assert store.list_files(tree) == merged


def test_the_nearest_resolution_counts() -> None:
    sides = Resolutions([("a/", Side.OURS), ("a/b/", Side.THEIRS), ("a/b/c", Side.OURS)])
    assert sides.resolve("a/b/c") is Side.OURS
    assert sides.resolve("a/b/d/e") is Side.THEIRS
    assert sides.list_unused() == ["a/"]
    assert sides.resolve("a/x") is Side.OURS
    assert sides.resolve("b") is None
    assert sides.list_unused() == []
