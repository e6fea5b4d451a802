"""Three trees merged: only directories that both sides changed are read, and the results are built."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Directory, Entry, Manifest

from services.repo.history.manifests import ManifestForms
from services.repo.merge.three_way import (
    Conflict,
    Level,
    Resolve,
    Triple,
    apply_edits,
    make_undecided,
    merge_level,
)
from services.repo.trees.groups import GROUPS, read_groups
from shared.db.pool import Database
from shared.errors import batch_too_large, invalid_field
from shared.formats.canonical import FormatError, content_hash
from shared.formats.manifests import encode_manifest
from shared.rpc.byte_budget import Hold

# Directories that both sides changed.
MAX_DIRECTORIES = 20_000
# Conflicts that are kept, and the bytes that they have: one directory may be in conflict at many paths.
MAX_CONFLICTS = 100_000
MAX_CONFLICT_BYTES = 128 << 20
# What a conflict, and each of its bytes, takes in memory.
CONFLICT_COST = 1_000
BYTE_COST = 2


@dataclass(slots=True)
class MergedTree:
    """A tree that was merged.

    Attributes:
        tree: hash of its top manifest.
        manifests: canonical bytes of the manifests that were made for it, children first, by hash.
    """

    tree: str = ""
    manifests: dict[str, bytes] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A directory that is about to be merged, with what of it has to be read."""

    triple: Triple
    manifests: tuple[str, ...]


class TreeMerge:
    """One merge of three trees; `virtual` are manifests that are not stored, by hash."""

    def __init__(
        self,
        database: Database,
        repository_id: UUID,
        virtual: dict[str, bytes],
        resolve: Resolve,
        hold: Hold,
        *,
        is_base: bool = False,
        is_guess: bool = False,
    ) -> None:
        """`hold` grows by what the result takes; `is_guess`: the base is empty, because it is not known."""
        self._database = database
        self._repository_id = repository_id
        self._virtual = virtual
        self._resolve = resolve
        self._hold = hold
        self._conflict_bytes = 0
        # The result is a common ancestor for another merge: it agrees with neither side of a conflict.
        self._is_base = is_base
        self._is_guess = is_guess

    async def merge(self, base: str | None, ours: str, theirs: str) -> MergedTree:
        """Returns the merged tree. Raises BATCH_TOO_LARGE, INVALID_FIELD, CONTENTION, SERVER_BUSY."""
        merged = MergedTree()
        if ours == theirs or base in (ours, theirs):
            merged.tree = theirs if base == ours else ours
            return merged
        levels = await self._read_levels(Triple("", base, ours, theirs), merged)
        merged.tree = await self._build(levels, merged)
        return merged

    async def _read_levels(self, top: Triple, merged: MergedTree) -> list[Level]:
        """Returns what becomes of each directory that both sides changed, parents before children."""
        levels: list[Level] = []
        left = [self._plan(top)]
        while left:
            some, left = left[-GROUPS:], left[:-GROUPS]
            ready, forms = await read_groups(self._database, self._repository_id, some)
            done = set(ready)
            found, size = await asyncio.to_thread(self._merge_all, ready, forms)
            left += [reading for reading in some if reading not in done]
            await self._count_conflicts(sum(len(level.conflicts) for level in found), size)
            for level in found:
                levels.append(level)
                merged.conflicts += level.conflicts
                left += [self._plan(triple) for triple in level.below.values()]
            if len(levels) + len(left) > MAX_DIRECTORIES:
                count = len(levels) + len(left)
                raise batch_too_large("directories of both sides", MAX_DIRECTORIES, count)
            if len(merged.conflicts) > MAX_CONFLICTS:
                raise batch_too_large("conflicts", MAX_CONFLICTS, len(merged.conflicts))
        return levels

    async def _count_conflicts(self, count: int, size: int) -> None:
        """Holds what more conflicts take. Raises BATCH_TOO_LARGE, SERVER_BUSY."""
        self._conflict_bytes += size
        if self._conflict_bytes > MAX_CONFLICT_BYTES:
            raise batch_too_large("bytes of conflicts", MAX_CONFLICT_BYTES, self._conflict_bytes)
        await self._hold.grow_to(self._hold.size + CONFLICT_COST * count + BYTE_COST * size)

    def _plan(self, triple: Triple) -> _Reading:
        names = {triple.base, triple.ours, triple.theirs} - {None}
        stored = (name for name in names if name is not None and name not in self._virtual)
        return _Reading(triple, tuple(sorted(stored)))

    def _merge_all(
        self, readings: Sequence[_Reading], forms: ManifestForms
    ) -> tuple[list[Level], int]:
        """Returns what becomes of some directories, and how many bytes their conflicts have."""
        levels = [self._merge_one(reading.triple, forms) for reading in readings]
        return levels, sum(level.measure_conflicts() for level in levels)

    def _merge_one(self, triple: Triple, forms: ManifestForms) -> Level:
        base, ours, theirs = (
            self._open(forms, name) for name in (triple.base, triple.ours, triple.theirs)
        )
        level = merge_level(triple, base, ours, theirs, self._resolve)
        if self._is_base:
            differing = {conflict.path.removeprefix(triple.prefix) for conflict in level.conflicts}
            if self._is_guess:
                # What only one side has may be new there, or deleted on the other.
                differing |= {e.name for e in ours.entries} ^ {e.name for e in theirs.entries}
            level.edits |= {name: make_undecided(name) for name in differing}
        return level

    def _open(self, forms: ManifestForms, name: str | None) -> Manifest:
        if name is None:
            return Manifest()
        content = self._virtual.get(name)
        return Manifest.FromString(forms.open(name) if content is None else content)

    async def _build(self, levels: Sequence[Level], merged: MergedTree) -> str:
        """Makes the directories bottom-up; returns the hash of the top."""
        results: dict[Triple, str | None] = {}
        for level in reversed(levels):
            for name, triple in level.below.items():
                child = results.pop(triple)
                if child != triple.ours:
                    level.edits[name] = _make_directory(name, child)
            results[level.triple] = await self._build_one(level, merged)
            level.edits.clear()
        top = results[levels[0].triple]
        if top is None:
            top, content = _encode("", Manifest())
            merged.manifests[top] = content
        return top

    async def _build_one(self, level: Level, merged: MergedTree) -> str | None:
        """Returns the hash of one directory; None if nothing is in it."""
        triple = level.triple
        if not level.edits:
            return triple.ours
        reading = self._plan(Triple(triple.prefix, None, triple.ours, None))
        forms = ManifestForms()
        if reading.manifests:
            _, forms = await read_groups(self._database, self._repository_id, [reading])
        made = await asyncio.to_thread(self._edit, level, forms)
        if made is None:
            return None
        digest, content = made
        if digest not in (triple.ours, triple.theirs):
            if digest not in merged.manifests:
                await self._hold.grow_to(self._hold.size + len(content))
            merged.manifests[digest] = content
        return digest

    def _edit(self, level: Level, forms: ManifestForms) -> tuple[str, bytes] | None:
        manifest = apply_edits(self._open(forms, level.triple.ours), level.edits)
        return _encode(level.triple.prefix, manifest) if manifest.entries else None


def _make_directory(name: str, manifest: str | None) -> Entry | None:
    if manifest is None:
        return None
    return Entry(name=name, directory=Directory(manifest_hash=bytes.fromhex(manifest)))


def _encode(prefix: str, manifest: Manifest) -> tuple[str, bytes]:
    try:
        content = encode_manifest(manifest)
    except FormatError as error:
        raise invalid_field("source", f"{prefix or 'the top directory'}: {error}") from None
    return content_hash(content), content
