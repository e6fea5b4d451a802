"""What is at some paths of a tree."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from functools import partial
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry, Manifest

from services.repo.history.manifests import (
    STATEMENT_SECONDS,
    ManifestForms,
    child_manifest,
    pick_entries,
    read_forms,
)
from services.repo.trees.kept_directories import KeptDirectories
from shared.db.pool import Databases
from shared.errors import invalid_field, not_found


class PathFinder:
    """Looks paths up, from the top directory down; keeps the small directories that it met."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._kept = KeptDirectories()

    async def find(
        self, repository_id: UUID, tree: str, paths: Collection[str]
    ) -> dict[str, Entry]:
        """Returns what is at some paths of a tree; those at which something is.

        Each level of directories is at most one statement, whatever the number of paths, and none for
        directories that are kept. Raises MANIFEST_CORRUPT.
        """
        search = _Search(self._kept, repository_id, tree, paths)
        fetch = partial(self._databases.of(repository_id).fetch, seconds=STATEMENT_SECONDS)
        while missing := await asyncio.to_thread(search.descend):
            async for found, forms in read_forms(fetch, repository_id, missing):
                await asyncio.to_thread(search.look_into, found, forms)
                missing.difference_update(found)
            search.forget(missing)
        return search.found

    async def find_directory(self, repository_id: UUID, tree: str, path: str) -> str:
        """Returns the hash of the manifest of a directory of a tree; "" is the top.

        Raises NOT_FOUND, and INVALID_FIELD if a file or a link is there.
        """
        if not path:
            return tree
        entry = (await self.find(repository_id, tree, [path])).get(path)
        if entry is None:
            raise not_found("path", path)
        if (child := child_manifest(entry)) is None:
            kind = "file" if entry.HasField("file") else "link"
            raise invalid_field("path", f"must be that of a directory: a {kind} is there")
        return child


class _Search:
    """Paths on their way down a tree.

    Attributes:
        found: what is at those that have arrived.
    """

    def __init__(
        self, kept: KeptDirectories, repository_id: UUID, tree: str, paths: Collection[str]
    ) -> None:
        self.found: dict[str, Entry] = {}
        self._kept = kept
        self._repository_id = repository_id
        # By directory: each path that is to be looked up there, and its names from there on.
        self._left = {tree: [(path, path.split("/")) for path in paths]}

    def descend(self) -> set[str]:
        """Goes on through all directories that are kept; returns those that have to be read."""
        missing: set[str] = set()
        while ready := self._left.keys() - missing:
            for digest in ready:
                content = self._kept.get(self._repository_id, digest)
                if content is None:
                    missing.add(digest)
                else:
                    self._look_up(digest, content)
        return missing

    def look_into(self, found: Iterable[str], forms: ManifestForms) -> None:
        """Goes one level down in directories that were read. Takes a while. Raises MANIFEST_CORRUPT."""
        for digest in found:
            content = forms.open(digest)
            self._kept.add(self._repository_id, digest, content)
            self._look_up(digest, content)

    def forget(self, digests: Iterable[str]) -> None:
        """Gives up the paths in directories that are not there."""
        for digest in digests:
            self._left.pop(digest, None)

    def _look_up(self, digest: str, content: bytes) -> None:
        paths = self._left.pop(digest)
        here = dict(pick_entries(Manifest.FromString(content), {names[0] for _, names in paths}))
        for path, (name, *names) in paths:
            entry = here.get(name)
            if entry is not None and not names:
                self.found[path] = entry
            elif (child := child_manifest(entry)) is not None:
                self._left.setdefault(child, []).append((path, names))
