"""All that is below a directory of a tree, in pages."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history.manifests import ManifestForms, child_manifest, find_entries
from services.repo.trees.groups import GROUPS, open_manifest, read_groups
from services.repo.trees.path_finder import PathFinder
from shared.db.pool import Database
from shared.errors import not_found


@dataclass(frozen=True, slots=True)
class _Directory:
    """A directory to be listed: what comes after a name; None = all of it."""

    prefix: str
    manifest: str
    after: str | None = None

    @property
    def manifests(self) -> tuple[str]:
        """Its manifest."""
        return (self.manifest,)


class PathListing:
    """One page of all that is below a directory: each directory comes before what is in it."""

    def __init__(
        self, finder: PathFinder, database: Database, repository_id: UUID, count: int
    ) -> None:
        self._finder = finder
        self._database = database
        self._repository_id = repository_id
        self._count = count
        # What was read of directories, before its turn came.
        self._ahead: dict[_Directory, list[Entry]] = {}

    async def list_at(self, tree: str, path: str, after: str | None) -> list[tuple[str, Entry]]:
        """Returns what is below a path of a tree ("" = all), see `list_paths`; of a file the file itself.

        Raises NOT_FOUND, CONTENTION.
        """
        if not path:
            return await self.list_paths(tree, "", after)
        entry = (await self._finder.find(self._repository_id, tree, [path])).get(path)
        if entry is None:
            raise not_found("path", path)
        if (directory := child_manifest(entry)) is None:
            return [(path, entry)]
        return await self.list_paths(directory, f"{path}/", after)

    async def list_paths(
        self, directory: str, prefix: str, after: str | None
    ) -> list[tuple[str, Entry]]:
        """Returns the next entries with their paths, those after a path that was listed.

        `prefix` is "" or the path of the directory with a slash behind it. Raises CONTENTION.
        """
        listed: list[tuple[str, Entry]] = []
        stack = await self._find_place(_Directory(prefix, directory), after)
        while stack and len(listed) < self._count:
            prefix, entries = stack[-1]
            if not entries:
                stack.pop()
                continue
            entry = entries.pop(0)
            listed.append((prefix + entry.name, entry))
            child = child_manifest(entry)
            if child is not None and len(listed) < self._count:
                below = _Directory(f"{prefix}{entry.name}/", child)
                following = [
                    _Directory(f"{prefix}{e.name}/", name)
                    for e in entries[: self._count - len(listed)]
                    if (name := child_manifest(e)) is not None
                ]
                stack.append((below.prefix, await self._read(below, following)))
        return listed

    async def _find_place(
        self, top: _Directory, after: str | None
    ) -> list[tuple[str, list[Entry]]]:
        """Returns what is left of the directories above a path, and of the path itself."""
        if after is None:
            return [(top.prefix, await self._read(top))]
        stack: list[tuple[str, list[Entry]]] = []
        here: _Directory | None = top
        for name in after.removeprefix(top.prefix).split("/"):
            if here is None:
                break
            rest = _Directory(here.prefix, here.manifest, name)
            stack.append((here.prefix, await self._read(rest)))
            entries = await find_entries(
                self._database, self._repository_id, {here.manifest: [name]}
            )
            child = child_manifest(entries.get(here.manifest, {}).get(name))
            here = None if child is None else _Directory(f"{here.prefix}{name}/", child)
        if here is not None:
            stack.append((here.prefix, await self._read(here)))
        return stack

    async def _read(
        self, directory: _Directory, following: Sequence[_Directory] = ()
    ) -> list[Entry]:
        """Returns the entries of a directory, at most a page; reads some of those that follow, too."""
        if directory not in self._ahead:
            groups = [directory, *following][:GROUPS]
            ready, forms = await read_groups(self._database, self._repository_id, groups)
            self._ahead |= await asyncio.to_thread(_slice_all, ready, forms, self._count)
        return self._ahead.pop(directory)


def _slice_all(
    directories: Sequence[_Directory], forms: ManifestForms, count: int
) -> dict[_Directory, list[Entry]]:
    return {directory: _slice(directory, forms, count) for directory in directories}


def _slice(directory: _Directory, forms: ManifestForms, count: int) -> list[Entry]:
    """Returns copies of the entries of a directory after a name, at most `count`."""
    entries = open_manifest(forms, directory.manifest).entries
    after = directory.after
    start = bisect_right(entries, after, key=attrgetter("name")) if after is not None else 0
    copies = []
    for entry in entries[start : start + count]:
        copy = Entry()
        copy.CopyFrom(entry)
        copies.append(copy)
    return copies
