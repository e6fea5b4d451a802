"""The tracked paths: what trees of the repository have. Ignore patterns do not concern them."""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from itertools import chain

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.manifest import ManifestLoader, get_manifest_hash, parse_entries
from dits_client.content.paths import iterate_parents
from dits_client.workspace.outside import NOTHING_OUTSIDE, OutsideEntries


class TrackedPaths:
    """The paths of some trees; a manifest is loaded when a path of its directory is asked for."""

    def __init__(
        self,
        load: ManifestLoader,
        trees: Iterable[bytes | None],
        untracked: Collection[str] = (),
        outside: OutsideEntries = NOTHING_OUTSIDE,
        coming: Collection[str] = (),
        refused: Mapping[str, str] | None = None,
    ) -> None:
        """Take the hashes of the trees, and paths to leave out with all below them.

        `outside`: what the folder does not include, or is without. `coming`: files that count as tracked.
        `refused`: sentences by path, for what the repository refuses to track.
        """
        self.refused = refused or {}
        self.outside = outside
        self._load = load
        self._trees = [tree for tree in trees if tree is not None]
        self._untracked = untracked
        self._coming = coming
        self._above_coming = {above for path in coming for above in iterate_parents(path)}
        self._directories: dict[str, list[dict[str, Entry]]] = {}

    def has_file(self, path: str) -> bool:
        """Return whether a tree has a file or link at a path. Raises ClientError."""
        return self._has_entry(path, is_directory=False)

    def has_directory(self, path: str) -> bool:
        """Return whether a tree has a directory at a path. Raises ClientError."""
        return self._has_entry(path, is_directory=True)

    def has_manifest(self, path: str, manifest: bytes) -> bool:
        """Return whether a tree has a directory at a path that is this one, and all in it is tracked."""
        return not self._untracked and manifest in self._list_manifests(path)

    def get_entry(self, path: str) -> Entry | None:
        """Return the file or link that the first tree has at a path. Raises ClientError."""
        parent, _, name = path.rpartition("/")
        entry = self.get_entries(parent).get(name)
        return entry if get_manifest_hash(entry) is None else None

    def list_files(self, path: str) -> list[Entry]:
        """Return the files that the trees have at a path, in their order. Raises ClientError."""
        parent, _, name = path.rpartition("/")
        found = (entries.get(name) for entries in self._load_directory(parent))
        return [entry for entry in found if entry is not None and entry.HasField("file")]

    def get_entries(self, directory: str) -> dict[str, Entry]:
        """Return what the first tree has in a directory; nothing if it is none. Raises ClientError."""
        return next(iter(self._load_directory(directory)), {})

    def _has_entry(self, path: str, *, is_directory: bool) -> bool:
        path = unicodedata.normalize("NFC", path)
        if path in (self._above_coming if is_directory else self._coming):
            return True
        if any(place in self._untracked for place in chain((path,), iterate_parents(path))):
            return False
        parent, _, name = path.rpartition("/")
        found = (entries[name] for entries in self._load_directory(parent) if name in entries)
        return any((get_manifest_hash(entry) is not None) == is_directory for entry in found)

    def _load_directory(self, path: str) -> list[dict[str, Entry]]:
        """Return the entries of a directory, by name, for each tree that has it."""
        if path not in self._directories:
            self._directories[path] = [
                parse_entries(self._load(manifest)) for manifest in self._list_manifests(path)
            ]
        return self._directories[path]

    def _list_manifests(self, path: str) -> list[bytes]:
        if not path:
            return list(dict.fromkeys(self._trees))
        parent, _, name = path.rpartition("/")
        hashes = (get_manifest_hash(entries.get(name)) for entries in self._load_directory(parent))
        return [manifest for manifest in dict.fromkeys(hashes) if manifest is not None]


def _load_nothing(manifest_hash: bytes) -> bytes:
    raise KeyError(manifest_hash)


# Of a folder that follows no commit.
NOTHING_TRACKED = TrackedPaths(_load_nothing, ())
