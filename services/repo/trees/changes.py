"""Changes of files and links between two trees: found in pairs of directories, moved, copied. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from dits.repo.v1.manifest_pb2 import Entry, File, Manifest

from services.repo.history.manifests import child_manifest
from services.repo.trees.encoded import iterate_differences


class ChangeKind(Enum):
    """What happened to a path."""

    ADDED = auto()
    MODIFIED = auto()
    DELETED = auto()
    RENAMED = auto()
    COPIED = auto()
    MODE = auto()


@dataclass(slots=True)
class TreeChange:
    """A file or link that differs.

    Attributes:
        path: where it is; of a deleted one, where it was.
        old: what it was; None = it was added.
        new: what it is; None = it was deleted.
        old_path: where its content was, if it was moved or copied, or stands in the same directory.
        new_chunk_bytes: bytes of the chunks that only the new content has; None = not counted.
    """

    kind: ChangeKind
    path: str
    old: Entry | None
    new: Entry | None
    old_path: str = ""
    new_chunk_bytes: int | None = None

    def measure(self) -> int:
        """Returns about how many bytes it takes."""
        entries = (entry.ByteSize() for entry in (self.old, self.new) if entry is not None)
        return 300 + 2 * len(self.path) + sum(entries)


@dataclass(frozen=True, slots=True)
class DirectoryPair:
    """One directory in two trees; None = it is not there. The prefix of its paths is "" or ends in `/`."""

    prefix: str
    old: str | None
    new: str | None

    @property
    def manifests(self) -> list[str]:
        """The manifests that have to be read."""
        return [name for name in (self.old, self.new) if name is not None]


def compare_directories(
    prefix: str, old: bytes, new: bytes
) -> tuple[list[TreeChange], list[DirectoryPair]]:
    """Returns the files and links of a directory that differ, and the directories to compare below it.

    Both are the canonical bytes of a manifest; none is an empty directory.
    """
    changes: list[TreeChange] = []
    below: list[DirectoryPair] = []
    for was, now in iterate_differences(old, new):
        name = was.name if was is not None else now.name if now is not None else ""
        compare_entries(prefix + name, was, now, changes, below)
    _note_twins(prefix, old, changes)
    return changes, below


def compare_entries(
    path: str,
    was: Entry | None,
    now: Entry | None,
    changes: list[TreeChange],
    below: list[DirectoryPair],
) -> None:
    """Adds what differs at a path to the changes, and the directories that are there to those below."""
    old = None if was is None or was.HasField("directory") else was
    new = None if now is None or now.HasField("directory") else now
    if old is not None or new is not None:
        changes.append(TreeChange(_judge(old, new), path, old, new))
    children = child_manifest(was), child_manifest(now)
    if children[0] != children[1]:
        below.append(DirectoryPair(f"{path}/", *children))


def _judge(old: Entry | None, new: Entry | None) -> ChangeKind:
    if old is None:
        return ChangeKind.ADDED
    if new is None:
        return ChangeKind.DELETED
    is_same = old.HasField("file") and new.HasField("file") and old.file.hash == new.file.hash
    return ChangeKind.MODE if is_same else ChangeKind.MODIFIED


def _note_twins(prefix: str, old: bytes, changes: Iterable[TreeChange]) -> None:
    """Notes for added files which file of the directory before had the same content."""
    added = [
        change for change in changes if change.kind is ChangeKind.ADDED and has_content(change.new)
    ]
    if not added:
        return
    entries = Manifest.FromString(old).entries
    twins = {entry.file.hash: entry.name for entry in entries if entry.file.size}
    for change in added:
        name = twins.get(get_file(change.new).hash)
        change.old_path = prefix + name if name is not None else ""


def find_moves(changes: list[TreeChange]) -> list[TreeChange]:
    """Returns the changes by path, with files that were moved or copied as one change each."""
    changes.sort(key=lambda change: change.path)
    gone: dict[bytes, list[TreeChange]] = defaultdict(list)
    sources: dict[bytes, TreeChange] = {}
    for change in changes:
        if has_content(change.old):
            sources.setdefault(get_file(change.old).hash, change)
            if change.kind is ChangeKind.DELETED:
                gone[get_file(change.old).hash].append(change)
    moved: set[int] = set()
    for change in changes:
        if change.kind is not ChangeKind.ADDED or not has_content(change.new):
            continue
        digest = get_file(change.new).hash
        if origin := _pick_origin(change.path, gone.get(digest, [])):
            moved.add(id(origin))
            change.kind, change.old, change.old_path = ChangeKind.RENAMED, origin.old, origin.path
        elif source := sources.get(digest):
            change.kind, change.old, change.old_path = ChangeKind.COPIED, source.old, source.path
        elif change.old_path:
            change.kind, change.old = ChangeKind.COPIED, change.new
    return [change for change in changes if id(change) not in moved]


def _pick_origin(path: str, deleted: list[TreeChange]) -> TreeChange | None:
    """Removes from some deleted files the one that moved to a path: with its name, or else the first."""
    if not deleted:
        return None
    name = path.rpartition("/")[2]
    at = next((at for at, old in enumerate(deleted) if old.path.rpartition("/")[2] == name), 0)
    return deleted.pop(at)


def get_file(entry: Entry | None) -> File:
    """Returns the file of an entry; an empty one for anything else."""
    return entry.file if entry is not None else File()


def has_content(entry: Entry | None) -> bool:
    """Returns whether an entry is a file that is not empty."""
    return get_file(entry).size > 0
