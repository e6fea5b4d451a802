"""What differs between two trees: only directories that differ are read, and few of them are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.repo.history.manifests import ManifestForms
from services.repo.trees.changes import (
    ChangeKind,
    DirectoryPair,
    TreeChange,
    compare_directories,
    find_moves,
    get_file,
)
from services.repo.trees.groups import GROUPS, open_content, read_groups
from shared.db.pool import Database

# Changes that are looked at together, and their bytes.
MAX_TOGETHER = 10_000
MAX_TOGETHER_BYTES = 16 << 20


@dataclass(slots=True)
class DiffTotals:
    """What a comparison found in all; bytes are of contents, before and after."""

    counts: dict[ChangeKind, int] = field(default_factory=lambda: dict.fromkeys(ChangeKind, 0))
    old_bytes: int = 0
    new_bytes: int = 0
    new_chunk_bytes: int = 0
    is_plain: bool = False

    def add(self, changes: Sequence[TreeChange]) -> None:
        """Counts some changes."""
        for change in changes:
            self.counts[change.kind] += 1
            self.new_bytes += get_file(change.new).size
            self.new_chunk_bytes += change.new_chunk_bytes or 0
            if change.kind is not ChangeKind.COPIED:
                self.old_bytes += get_file(change.old).size


class TreeDiff:
    """One comparison.

    Attributes:
        is_plain: there were too many changes to look for moves and copies.
    """

    def __init__(self, database: Database, repository_id: UUID) -> None:
        self.is_plain = False
        self._database = database
        self._repository_id = repository_id

    async def iterate_changes(
        self, changes: list[TreeChange], left: list[DirectoryPair]
    ) -> AsyncGenerator[list[TreeChange], None]:
        """Yields changes in lists: those that are known, and those of the directories that are left.

        Raises CONTENTION, MANIFEST_CORRUPT.
        """
        size = 0
        left.reverse()
        while left:
            some, left = left[-GROUPS:], left[:-GROUPS]
            ready, forms = await read_groups(self._database, self._repository_id, some[::-1])
            done = set(ready)
            found, below, more = await asyncio.to_thread(_compare_all, ready, forms)
            left += [pair for pair in some if pair not in done]
            left += reversed(below)
            if self.is_plain:
                yield found
                continue
            changes += found
            size += more
            if len(changes) > MAX_TOGETHER or size > MAX_TOGETHER_BYTES:
                self.is_plain = True
                yield changes
                changes = []
        if not self.is_plain:
            yield await asyncio.to_thread(find_moves, changes)


def _compare_all(
    pairs: Sequence[DirectoryPair], forms: ManifestForms
) -> tuple[list[TreeChange], list[DirectoryPair], int]:
    """Returns what differs in some directories, what is to compare below them, and the bytes it takes."""
    changes: list[TreeChange] = []
    below: list[DirectoryPair] = []
    for pair in pairs:
        old, new = open_content(forms, pair.old), open_content(forms, pair.new)
        found, inner = compare_directories(pair.prefix, old, new)
        changes += found
        below += inner
    return changes, below, sum(change.measure() for change in changes)
