"""Some paths in pairs of trees: where do they differ? Only directories that differ are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history.manifests import child_manifest, find_entries
from services.repo.history.walk import WalkedCommit
from shared.db.pool import Database


@dataclass(frozen=True, slots=True)
class Comparison:
    """Some paths in two trees; None is the empty tree. The name tells the answers apart."""

    name: str
    old: str | None
    new: str | None
    paths: Collection[str]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A commit, and the paths that it may have changed."""

    commit: WalkedCommit
    paths: Collection[str]


_Split = tuple[str, list[str]]
_Level = Mapping[tuple[str, str | None, str | None], Sequence[_Split]]


async def find_differences(
    database: Database, repository_id: UUID, comparisons: Sequence[Comparison]
) -> dict[str, set[str]]:
    """Returns the paths that differ, whether file, link or directory, by the name of the comparison."""
    differing: dict[str, set[str]] = {comparison.name: set() for comparison in comparisons}
    level: _Level = {
        (c.name, c.old, c.new): [(path, path.rstrip("/").split("/")) for path in c.paths]
        for c in comparisons
        if c.old != c.new
    }
    depth = 0
    while level:
        wanted: dict[str, set[str]] = defaultdict(set)
        for (_, *both), paths in level.items():
            for digest in filter(None, both):
                wanted[digest].update(parts[depth] for _, parts in paths)
        entries = await find_entries(database, repository_id, wanted)
        level = _compare_level(level, depth, entries, differing)
        depth += 1
    return differing


def _compare_level(
    level: _Level,
    depth: int,
    entries: Mapping[str, Mapping[str, Entry]],
    differing: dict[str, set[str]],
) -> _Level:
    """Adds the paths that end here and differ; returns the pairs of directories that others lead to."""
    below: dict[tuple[str, str | None, str | None], list[_Split]] = defaultdict(list)
    for (name, old, new), paths in level.items():
        before, after = entries.get(old or "", {}), entries.get(new or "", {})
        for path, parts in paths:
            was, now = before.get(parts[depth]), after.get(parts[depth])
            if was == now:
                continue
            if len(parts) == depth + 1:
                differing[name].add(path)
                continue
            children = child_manifest(was), child_manifest(now)
            if children[0] != children[1]:
                below[name, *children].append((path, parts))
    return below


async def find_same_parents(
    database: Database,
    repository_id: UUID,
    trees: Mapping[str, str],
    suspects: Sequence[Suspect],
) -> dict[tuple[str, str], int]:
    """Returns for a commit and a path the number of the first parent that has it as the commit has it.

    What is not in the answer was changed: it differs from what it is in every parent. A commit without
    parents is compared with an empty tree, number 0. `trees` has the trees of all the parents.
    """
    same: dict[tuple[str, str], int] = {}
    left, number = list(suspects), 0
    while left:
        comparisons = [
            Comparison(
                s.commit.hash,
                trees[s.commit.parents[number]] if s.commit.parents else None,
                s.commit.tree,
                s.paths,
            )
            for s in left
        ]
        differing = await find_differences(database, repository_id, comparisons)
        again = []
        for suspect in left:
            commit, changed = suspect.commit, differing[suspect.commit.hash]
            same.update({(commit.hash, p): number for p in suspect.paths if p not in changed})
            if changed and number + 1 < len(commit.parents):
                again.append(Suspect(commit, changed))
        left, number = again, number + 1
    return same
