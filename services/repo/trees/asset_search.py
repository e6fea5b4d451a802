"""Where a content occurs in a tree: a search through its directories, some of them for each page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from services.repo.history.manifests import ManifestForms, child_manifest
from services.repo.trees.groups import GROUPS, open_manifest, read_groups
from shared.db.pool import Database

# Directories that one page reads.
MAX_DIRECTORIES = 2_000


class Place(NamedTuple):
    """Where a search stands: in a directory, whose path is "" or ends in `/`, behind a file of it.

    Without a file, it is behind all files of the directory.
    """

    directory: str
    file: str | None

    @classmethod
    def parse(cls, position: Sequence[str]) -> Place:
        """Returns the place that a page token holds."""
        directory, *file = position
        return cls(directory, file[0] if file else None)

    def describe(self) -> list[str]:
        """Returns what a page token holds."""
        return [self.directory] if self.file is None else [self.directory, self.file]


@dataclass(frozen=True, slots=True)
class _Directory:
    """A directory whose turn is to come; its files up to `after` had theirs."""

    prefix: str
    manifest: str
    after: str = ""

    @property
    def manifests(self) -> tuple[str]:
        """Its manifest."""
        return (self.manifest,)


@dataclass(slots=True)
class _Found:
    """What is in one directory: files with the content, and sub-directories, both by name."""

    files: list[str] = field(default_factory=list)
    below: list[_Directory] = field(default_factory=list)


class AssetSearch:
    """One page of a search."""

    def __init__(self, database: Database, repository_id: UUID, asset: str, count: int) -> None:
        self._database = database
        self._repository_id = repository_id
        self._asset = bytes.fromhex(asset)
        self._count = count
        self._ahead: dict[_Directory, _Found] = {}

    async def find_paths(self, tree: str, place: Place | None) -> tuple[list[str], Place | None]:
        """Returns the next paths with the content, and where the next page begins; None at the end.

        A page ends before it is full when it has read enough. Raises CONTENTION, MANIFEST_CORRUPT.
        """
        paths: list[str] = []
        stack = await self._find_place(tree, place)
        read = 0
        while stack:
            directory = stack.pop()
            found = await self._read(directory, stack)
            read += 1
            for file in found.files:
                if len(paths) == self._count:
                    above, slash, name = paths[-1].rpartition("/")
                    last = name if above + slash == directory.prefix else ""
                    return paths, Place(directory.prefix, last)
                paths.append(directory.prefix + file)
            stack += reversed(found.below)
            if stack and read >= MAX_DIRECTORIES:
                return paths, Place(directory.prefix, None)
        return paths, None

    async def _find_place(self, tree: str, place: Place | None) -> list[_Directory]:
        """Returns the directories whose turn is to come, the next one last."""
        if place is None:
            return [_Directory("", tree)]
        stack: list[_Directory] = []
        here = _Directory("", tree)
        for name in place.directory.split("/")[:-1]:
            below = (await self._read(here, ())).below
            path = f"{here.prefix}{name}/"
            stack += [d for d in reversed(below) if d.prefix.split("/")[-2] > name]
            here = next(d for d in below if d.prefix == path)
        if place.file is None:
            return stack + (await self._read(here, ())).below[::-1]
        return [*stack, _Directory(here.prefix, here.manifest, place.file)]

    async def _read(self, directory: _Directory, following: Sequence[_Directory]) -> _Found:
        """Returns what is in a directory; reads some of those that follow, too."""
        if directory not in self._ahead:
            groups = [directory, *following[: -GROUPS - 1 : -1]][:GROUPS]
            ready, forms = await read_groups(self._database, self._repository_id, groups)
            self._ahead |= await asyncio.to_thread(self._scan_all, ready, forms)
        return self._ahead.pop(directory)

    def _scan_all(
        self, directories: Sequence[_Directory], forms: ManifestForms
    ) -> dict[_Directory, _Found]:
        return {directory: self._scan(directory, forms) for directory in directories}

    def _scan(self, directory: _Directory, forms: ManifestForms) -> _Found:
        found = _Found()
        for entry in open_manifest(forms, directory.manifest).entries:
            child = child_manifest(entry)
            if child is not None:
                found.below.append(_Directory(f"{directory.prefix}{entry.name}/", child))
            elif entry.file.hash == self._asset and entry.name > directory.after:
                found.files.append(entry.name)
        return found
