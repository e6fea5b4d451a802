"""Computing the filters of commits from their trees, in short statements and outside of the event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry, Manifest

from services.repo.history.manifests import child_manifest, load_manifests
from services.repo.history.path_filters import MAX_PATHS, encode_filter
from shared.db.pool import Database
from shared.runtime.weighed_work import do_weighed

# Pairs of directories that are compared at once: a directory may take 16 MiB.
BATCH = 16
# Entries of manifests that are kept for the transaction.
MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class TreeChange:
    """What a commit made of the tree of its first parent; None if it has no parent."""

    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class DirectoryPair:
    """A directory of a commit and of its first parent; the prefix is "" or ends in `/`."""

    commit: str
    prefix: str
    before: str | None
    after: str | None


class KeptManifests:
    """Some of the manifests that were read before a transaction, for use in it: what a hash names stays.

    Attributes:
        manifests: by hash.
        entries: how many they have together.
    """

    def __init__(self) -> None:
        self.manifests: dict[str, Manifest] = {}
        self.entries = 0

    def add(self, found: Mapping[str, Manifest]) -> None:
        """Keeps manifests while there is room."""
        entries = sum(map(_count_entries, found.values()))
        if self.entries + entries <= MOST_KEPT:
            self.entries += entries
            self.manifests |= found


async def compute_filters(
    database: Database,
    repository_id: UUID,
    pushed: Mapping[str, Manifest],
    changes: Mapping[str, TreeChange],
    kept: KeptManifests | None = None,
) -> dict[str, bytes]:
    """Returns the filters of some commits by hash; `pushed` are manifests that may not be stored yet.

    `kept` takes some of the stored ones that were read.

    A commit is left out if a manifest is neither stored nor pushed. The work for one commit ends when it
    has more changed paths than a filter holds.
    """
    paths: dict[str, set[str]] = {commit: set() for commit in changes}
    left = [
        DirectoryPair(commit, "", change.before, change.after)
        for commit, change in changes.items()
        if change.before != change.after
    ]
    while left:
        batch, left = left[:BATCH], left[BATCH:]
        batch = [pair for pair in batch if len(paths.get(pair.commit, ())) <= MAX_PATHS]
        batch = [pair for pair in batch if pair.commit in paths]
        known = await _load(database, repository_id, pushed, batch)
        if kept is not None:
            kept.add(known)
        steps = sum(map(_count_entries, known.values()))
        below = await do_weighed(steps, _compare_all, batch, known, paths)
        # The last first: what is below one commit is done before the next commit begins.
        left = below + left
    return await do_weighed(sum(map(len, paths.values())), _encode_all, paths)


def _count_entries(manifest: Manifest) -> int:
    return len(manifest.entries)


def _encode_all(paths: Mapping[str, set[str]]) -> dict[str, bytes]:
    return {commit: encode_filter(found) for commit, found in paths.items()}


async def _load(
    database: Database,
    repository_id: UUID,
    pushed: Mapping[str, Manifest],
    pairs: Sequence[DirectoryPair],
) -> dict[str, Manifest]:
    named = {digest for pair in pairs for digest in (pair.before, pair.after) if digest}
    known = {digest: pushed[digest] for digest in named if digest in pushed}
    stored = named - known.keys()
    if stored:
        async with database.connection() as connection:
            known |= await load_manifests(connection, repository_id, stored)
    return known


def _compare_all(
    pairs: Sequence[DirectoryPair], known: Mapping[str, Manifest], paths: dict[str, set[str]]
) -> list[DirectoryPair]:
    """Adds what differs in some directories to the paths of their commits; returns what is below.

    A commit whose manifests are not all known loses its paths.
    """
    below: list[DirectoryPair] = []
    for pair in pairs:
        if any(digest and digest not in known for digest in (pair.before, pair.after)):
            paths.pop(pair.commit, None)
        elif (found := paths.get(pair.commit)) is not None:
            below += _compare(pair, known, found)
    return below


def _compare(
    pair: DirectoryPair, known: Mapping[str, Manifest], paths: set[str]
) -> list[DirectoryPair]:
    before = {entry.name: entry for entry in known[pair.before].entries} if pair.before else {}
    below: list[DirectoryPair] = []
    changed: list[tuple[Entry | None, Entry | None]] = []
    for entry in known[pair.after].entries if pair.after else ():
        was = before.pop(entry.name, None)
        if was != entry:
            changed.append((was, entry))
    changed += [(gone, None) for gone in before.values()]
    for was, now in changed:
        path = pair.prefix + (now or was or Entry()).name
        paths.add(path)
        if len(paths) > MAX_PATHS:
            return []
        children = child_manifest(was), child_manifest(now)
        if children[0] != children[1]:
            below.append(DirectoryPair(pair.commit, f"{path}/", *children))
    return below
