"""What changed between two trees, found by walking only the directories that differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry, Manifest

from services.repo.history.manifests import child_manifest, load_manifests
from shared.db.pool import Connection
from shared.errors import contention

BATCH = 500


@dataclass(slots=True)
class Changes:
    """Files and symbolic links that differ, by path.

    Attributes:
        written: paths that are new or different, with the new entry.
        existing: paths that were there before and are different or gone.
        predecessors: new directories, by the hash of their manifest, with the hash of the manifest
            of the same directory before.
    """

    written: dict[str, Entry] = field(default_factory=dict)
    existing: set[str] = field(default_factory=set)
    predecessors: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> set[str]:
        """Returns every path that changed."""
        return self.existing | self.written.keys()

    def add(self, other: Changes) -> None:
        """Adds the changes of another pair of trees."""
        self.written.update(other.written)
        self.existing |= other.existing
        self.predecessors.update(other.predecessors)


class Trees:
    """Trees of manifests: those that a push brings, and those in the database."""

    def __init__(
        self, connection: Connection, repository_id: UUID, pushed: Mapping[str, Manifest]
    ) -> None:
        self._connection = connection
        self._repository_id = repository_id
        self._pushed = pushed

    async def load_manifests(self, hashes: set[str]) -> dict[str, Manifest]:
        """Returns some manifests by hash. Raises CONTENTION if one was collected meanwhile."""
        found = {digest: self._pushed[digest] for digest in hashes if digest in self._pushed}
        stored = hashes - found.keys()
        if stored:
            loaded = await load_manifests(self._connection, self._repository_id, stored)
            found |= {digest: manifest for digest, (_, manifest) in loaded.items()}
        if len(found) < len(hashes):
            raise contention("the history changed while it was compared")
        return found

    async def find_changes(self, old: str | None, new: str | None) -> Changes:
        """Returns what changed from one tree to another; None is the empty tree."""
        changes = Changes()
        pairs = [("", old, new)]
        while pairs:
            batch, pairs = pairs[:BATCH], pairs[BATCH:]
            hashes = {digest for _, *both in batch for digest in both if digest is not None}
            known = await self.load_manifests(hashes)
            for prefix, before, after in batch:
                if before is not None and after is not None:
                    changes.predecessors[after] = before
                pairs += _compare_directory(
                    changes,
                    prefix,
                    known[before] if before else Manifest(),
                    known[after] if after else Manifest(),
                )
        return changes

    async def find_entries(self, tree: str, paths: set[str]) -> dict[str, Entry]:
        """Returns the files and links at some paths of a tree; those that are there."""
        found: dict[str, Entry] = {}
        level: list[tuple[str, str, set[str]]] = [("", tree, paths)]
        while level:
            known = await self.load_manifests({digest for _, digest, _ in level})
            below: list[tuple[str, str, set[str]]] = []
            for prefix, digest, wanted in level:
                here = {e.name: e for e in known[digest].entries}
                deeper: dict[str, set[str]] = {}
                for path in wanted:
                    first, slash, rest = path.partition("/")
                    entry = here.get(first)
                    if entry is None or entry.HasField("directory") != bool(slash):
                        continue
                    if slash:
                        deeper.setdefault(first, set()).add(rest)
                    else:
                        found[prefix + path] = entry
                for first, rests in deeper.items():
                    child = here[first].directory.manifest_hash.hex()
                    below.append((f"{prefix}{first}/", child, rests))
            level = below
        return found


def _compare_directory(
    changes: Changes, prefix: str, old: Manifest, new: Manifest
) -> list[tuple[str, str | None, str | None]]:
    """Adds the differences of one directory; returns the pairs of sub-directories to compare."""
    before = {entry.name: entry for entry in old.entries}
    deeper: list[tuple[str, str | None, str | None]] = []
    for entry in new.entries:
        was = before.pop(entry.name, None)
        if was == entry:
            continue
        path = prefix + entry.name
        old_child, new_child = child_manifest(was), child_manifest(entry)
        if was is not None and old_child is None:
            changes.existing.add(path)
        if new_child is None:
            changes.written[path] = entry
        if old_child is not None or new_child is not None:
            deeper.append((path + "/", old_child, new_child))
    for entry in before.values():
        path = prefix + entry.name
        if (gone := child_manifest(entry)) is not None:
            deeper.append((path + "/", gone, None))
        else:
            changes.existing.add(path)
    return deeper
