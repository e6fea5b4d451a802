"""What changed between trees, found by comparing each pair of directories that differ once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from operator import attrgetter
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry, Manifest

from services.repo.history.change_rules import refuse_file
from services.repo.history.changes import Changes, Comparison, Difference, Item
from services.repo.history.file_rules import FileRules
from services.repo.history.manifests import child_manifest, load_manifests
from shared.db.pool import Connection
from shared.errors import contention
from shared.runtime.weighed_work import do_weighed

_name_of = attrgetter("name")
# Pairs of directories that are compared at once: a directory may take 16 MiB.
BATCH = 32


class Trees:
    """Trees of manifests: those that a push brings, and those in the database."""

    def __init__(
        self,
        connection: Connection,
        repository_id: UUID,
        pushed: Mapping[str, Manifest],
        rules: FileRules,
        known: Mapping[str, Manifest] | None = None,
    ) -> None:
        """`known` are manifests that were read before."""
        self._connection = connection
        self._repository_id = repository_id
        self._pushed = pushed
        self._known = known or {}
        self._rules = rules

    async def load_manifests(self, hashes: set[str]) -> dict[str, Manifest]:
        """Returns some manifests by hash. Raises CONTENTION if one was collected meanwhile."""
        found = {digest: self._pushed[digest] for digest in hashes if digest in self._pushed}
        found |= {digest: self._known[digest] for digest in hashes if digest in self._known}
        stored = hashes - found.keys()
        if stored:
            found |= await load_manifests(self._connection, self._repository_id, stored)
        if len(found) < len(hashes):
            raise contention("the history changed while it was compared")
        return found

    async def find_changes(
        self, moves: Collection[Comparison], commits: Collection[Comparison] = ()
    ) -> Changes:
        """Returns what changed in some trees: the paths of `moves`, and the directories of all.

        Raises FILE_REFUSED, CONTENT_OBLITERATED if one of them writes a file that may not be there.
        """
        differences: dict[Comparison, Difference] = {}
        left = list(dict.fromkeys([*moves, *commits]))
        total = len(moves) + len(commits)
        seen = set(left)
        while left:
            batch = left[-BATCH:]
            del left[-BATCH:]
            known = await self.load_manifests({name for pair in batch for name in pair.manifests})
            steps = _count_entries(batch, known)
            found = await do_weighed(steps, _compare_all, batch, known, self._rules)
            total += steps
            differences |= found
            below = dict.fromkeys(c for difference in found.values() for c in difference.below)
            left += [pair for pair in below if pair not in seen]
            seen.update(below)
        changes = Changes(tuple(moves), differences, tuple(commits), total)
        fault = await do_weighed(total, changes.find_fault, (*moves, *commits))
        if fault is not None:
            raise await refuse_file(self._connection, self._repository_id, *fault)
        return changes

    async def find_entries(self, tree: str | None, paths: Collection[str]) -> dict[str, Entry]:
        """Returns the files and links at some paths of a tree; those that are there."""
        found: dict[str, Entry] = {}
        level: list[tuple[str, str, Collection[str]]] = [("", tree, paths)] if tree else []
        while level:
            known = await self.load_manifests({digest for _, digest, _ in level})
            level = await asyncio.to_thread(_look_up, level, known, found)
        return found


def _look_up(
    level: list[tuple[str, str, Collection[str]]],
    known: Mapping[str, Manifest],
    found: dict[str, Entry],
) -> list[tuple[str, str, Collection[str]]]:
    """Adds what is at the paths of some directories; returns the directories below to look into."""
    below: list[tuple[str, str, Collection[str]]] = []
    for prefix, digest, wanted in level:
        here = {entry.name: entry for entry in known[digest].entries}
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
    return below


def _count_entries(pairs: Collection[Comparison], known: Mapping[str, Manifest]) -> int:
    """Returns how many entries some directories have, and ten for each of them."""
    return sum(10 + len(known[name].entries) for pair in pairs for name in pair.manifests)


def _compare_all(
    pairs: Collection[Comparison], known: Mapping[str, Manifest], rules: FileRules
) -> dict[Comparison, Difference]:
    return {pair: _compare(pair, known, rules) for pair in pairs}


def _compare(pair: Comparison, known: Mapping[str, Manifest], rules: FileRules) -> Difference:
    """Returns what differs in one directory from all that it is compared with."""
    if pair.new and not any(pair.old):
        return _list_new(pair, known[pair.new], rules)
    before = [
        {entry.name: entry for entry in known[old].entries} if old else {} for old in pair.old
    ]
    entries = known[pair.new].entries if pair.new else ()
    written: list[Entry] = []
    items: list[Item] = []
    for entry in entries:
        was = [old.pop(entry.name, None) for old in before]
        if entry not in was:
            written.append(entry)
            items += _items(entry.name, was, entry)
    gone, *others = before
    for name in gone:
        if all(name in other for other in others):
            items += _items(name, [old[name] for old in before], None)
    items.sort(key=_name_of)
    return Difference(items, rules.find_fault(entries, written))


def _list_new(pair: Comparison, manifest: Manifest, rules: FileRules) -> Difference:
    """Returns the difference of a directory that was nowhere before."""
    items = [_new_item(pair, entry) for entry in manifest.entries]
    items.sort(key=_name_of)
    return Difference(items, rules.find_fault(manifest.entries, manifest.entries))


def _new_item(pair: Comparison, entry: Entry) -> Item:
    """Returns an entry of a directory that was nowhere before."""
    if entry.HasField("directory"):
        return Item(f"{entry.name}/", below=Comparison(pair.old, child_manifest(entry)))
    return Item(entry.name)


def _items(name: str, was: list[Entry | None], now: Entry | None) -> Iterator[Item]:
    """Yields what changed at one name: a file or link, and what is below a directory."""
    old_leaves = [None if entry is None or entry.HasField("directory") else entry for entry in was]
    leaf = None if now is None or now.HasField("directory") else now
    if leaf not in old_leaves:
        existed = any(old is not None for old in old_leaves)
        yield Item(name, existed=existed)
    child, old_children = child_manifest(now), tuple(map(child_manifest, was))
    if child not in old_children:
        yield Item(f"{name}/", below=Comparison(old_children, child))
