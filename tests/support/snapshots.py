"""Folders and their snapshots, for unit tests of the client."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.manifest import compare_trees
from dits_client.workspace import snapshot
from dits_client.workspace.index import Index
from dits_client.workspace.read_files import read_disk_clock
from dits_client.workspace.snapshot import Snapshot

OLD = 1_600_000_000_000_000_001


def write_old_files(root: Path, files: Mapping[str, bytes | str], *, age: bool = True) -> None:
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


@contextmanager
def reading_later(seconds: float = 60) -> Iterator[None]:
    """Folders are read so many seconds later: nobody can make files whose ctime is old."""
    later = round(seconds * 1e9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "read_disk_clock", lambda root: read_disk_clock(root) + later)
        yield


def take_snapshot(root: Path, index: Index, *, later: float = 60) -> Snapshot:
    with reading_later(later):
        taken = Snapshot(root, index)
    taken.complete()
    return taken


def load_manifest(index: Index, name: bytes) -> bytes:
    content = index.objects.get(name)
    assert content is not None
    return content


def list_leaves(index: Index, tree: bytes) -> dict[str, Entry]:
    found = compare_trees(lambda name: load_manifest(index, name), None, tree)
    return {change.path: change.new for change in found if change.new is not None}
