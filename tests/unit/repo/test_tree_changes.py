"""Moved and copied files are found among the changes of two trees."""

from __future__ import annotations

from collections.abc import Mapping

from dits.repo.v1.manifest_pb2 import Entry, Manifest
from hypothesis import given
from hypothesis import strategies as st

from services.repo.trees.changes import ChangeKind, compare_directories, find_moves
from shared.formats.manifests import encode_manifest
from tests.support.trees import file_entry

FILES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([b"", b"1", b"2", b"3"]))
MODES = st.sampled_from([0o644, 0o755])


def make_content(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    entries: list[Entry] = []
    for name, (data, mode) in sorted(files.items()):
        entries.append(file_entry(name, data, {}, mode=mode))
    return encode_manifest(Manifest(entries=entries))


@given(FILES, FILES, MODES)
def test_changes_make_the_new_directory_of_the_old_one(
    old: dict[str, bytes], new: dict[str, bytes], mode: int
) -> None:
    before = {name: (data, 0o644) for name, data in old.items()}
    after = {name: (data, mode) for name, data in new.items()}
    changes, below = compare_directories("", make_content(before), make_content(after))
    assert not below
    rebuilt = dict(before)
    renamed: set[str] = set()
    for change in find_moves(changes):
        if change.kind in (ChangeKind.RENAMED, ChangeKind.COPIED):
            assert change.path not in before
            assert before[change.old_path][0] == after[change.path][0] != b""
        if change.kind is ChangeKind.RENAMED:
            assert change.old_path not in after
            assert change.old_path not in renamed
            renamed.add(change.old_path)
            del rebuilt[change.old_path]
        if change.new is None:
            assert change.kind is ChangeKind.DELETED
            del rebuilt[change.path]
        else:
            rebuilt[change.path] = after[change.path]
        if change.kind is ChangeKind.MODE:
            assert before[change.path][0] == after[change.path][0]
        if change.kind is ChangeKind.ADDED:
            # Nothing that is gone has its content.
            assert not after[change.path][0] or after[change.path][0] not in old.values()
    assert rebuilt == after
