"""Changes of trees, kept by pairs of directories and not by path: equal directories are kept once. Pure."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from services.repo.history.file_rules import FileFault
from shared.errors import batch_too_large
from shared.formats.limits import MAX_CHANGED_PATHS


@dataclass(frozen=True, slots=True)
class Comparison:
    """Directories to compare, by the hashes of their manifests; None = nothing is there.

    Attributes:
        old: one for each tree that the new one is compared with, at least one. Only what differs from
            all of them has changed: a merge does not change what it takes over.
        new: the directory after the change.
    """

    old: tuple[str | None, ...]
    new: str | None

    @property
    def manifests(self) -> set[str]:
        """Returns the manifests that have to be read."""
        return {name for name in (*self.old, self.new) if name is not None}


class Item(NamedTuple):
    """A change in a directory: of a file or link, or with `below` of what is in a directory.

    Attributes:
        name: of a directory with a slash behind it, so that the order of names is that of paths.
        existed: a file or link was there before.
    """

    name: str
    existed: bool = False
    below: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed in one directory: its items by name, and the first file that may not be there."""

    items: list[Item]
    fault: FileFault | None = None

    @property
    def below(self) -> list[Comparison]:
        """Returns the comparisons of the directories in it."""
        return [item.below for item in self.items if item.below is not None]


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in some trees.

    Attributes:
        roots: comparisons of the top directories whose paths count as changed.
        differences: of all directories that were compared.
        commits: comparisons of the top directories of single commits, parents first, and of the moves of
            shelves.
        steps: how many it takes to look at all differences once.
    """

    roots: tuple[Comparison, ...] = ()
    differences: Mapping[Comparison, Difference] = field(default_factory=dict)
    commits: tuple[Comparison, ...] = ()
    steps: int = 0

    def select(self, root: Comparison) -> Changes:
        """Returns what changed below one of the roots; nothing for trees that do not differ."""
        if root not in self.differences:
            return Changes()
        return Changes((root,), self.differences, steps=self.steps)

    def find_predecessors(self) -> dict[str, str]:
        """Returns for the manifests that commits bring those that their directories had in a parent.

        Of several commits the first counts.
        """
        found: dict[str, str] = {}
        seen: set[Comparison] = set()
        left = list(reversed(self.commits))
        while left:
            pair = left.pop()
            if pair in seen:
                continue
            seen.add(pair)
            left += reversed(self.differences[pair].below)
            before = next(filter(None, pair.old), None)
            if pair.new is not None and before is not None:
                found.setdefault(pair.new, before)
        return found

    def count_paths(self) -> int:
        """Returns the number of changed paths; one that changed below several roots counts for each."""
        counts: dict[Comparison, int] = {}
        return sum(self._count(root, counts) for root in self.roots)

    def require_bounded(self) -> None:
        """Raises BATCH_TOO_LARGE if there are more changed paths than one call may change."""
        count = self.count_paths()
        if count > MAX_CHANGED_PATHS:
            raise batch_too_large("changed paths", MAX_CHANGED_PATHS, count)

    def _count(self, pair: Comparison, counts: dict[Comparison, int]) -> int:
        """Returns the number of paths that changed below a directory. Trees have a limit of depth."""
        if pair not in counts:
            items = self.differences[pair].items
            below = (item.below for item in items)
            counts[pair] = sum(1 if c is None else self._count(c, counts) for c in below)
        return counts[pair]

    def iterate_paths(
        self, place: str = "", *, without: Collection[str] = ()
    ) -> Iterator[tuple[str, bool]]:
        """Yields changed paths once, in order, and whether a file or link was there before.

        Those that a lock on `place` covers, a path or a directory with a slash behind it, empty for all;
        none in the directories `without`.
        """
        found = heapq.merge(*(self._iterate_at(root, place, without) for root in self.roots))
        for path, same in groupby(found, key=lambda found: found[0]):
            yield path, any(existed for _, existed in same)

    def _iterate_at(
        self, pair: Comparison, place: str, without: Collection[str]
    ) -> Iterator[tuple[str, bool]]:
        *directories, name = place.split("/")
        for directory in directories:
            item = self._find_item(pair, f"{directory}/")
            if item is None or item.below is None:
                return
            pair = item.below
        if not name:
            yield from self._iterate(pair, place, without)
        elif (item := self._find_item(pair, name)) is not None:
            yield place, item.existed

    def _find_item(self, pair: Comparison, name: str) -> Item | None:
        items = self.differences[pair].items
        at = bisect_left(items, name, key=lambda item: item.name)
        return items[at] if at < len(items) and items[at].name == name else None

    def _iterate(
        self, root: Comparison, place: str, without: Collection[str]
    ) -> Iterator[tuple[str, bool]]:
        stack = [(place, iter(self.differences[root].items))]
        while stack:
            prefix, items = stack[-1]
            item = next(items, None)
            if item is None:
                stack.pop()
            elif item.below is None:
                yield prefix + item.name, item.existed
            elif (path := prefix + item.name) not in without:
                stack.append((path, iter(self.differences[item.below].items)))

    def find_fault(self, roots: Iterable[Comparison]) -> tuple[str, FileFault] | None:
        """Returns the path and the fault of a file below a root that may not be there."""
        if not any(difference.fault for difference in self.differences.values()):
            return None
        left = [("", root) for root in roots]
        seen: set[Comparison] = set()
        while left:
            prefix, pair = left.pop()
            if pair in seen:
                continue
            seen.add(pair)
            difference = self.differences[pair]
            if (fault := difference.fault) is not None:
                return prefix + fault.name, fault
            left += [(prefix + item.name, item.below) for item in difference.items if item.below]
        return None
