"""What a folder's commit has and the folder does not include: it stays as the commit has it."""

from collections.abc import Container, Iterator, Mapping

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.manifest import (
    ManifestLoader,
    get_manifest_hash,
    hash_content,
    parse_entries,
)
from dits_client.content.paths import iterate_parents
from dits_client.content.scope import EVERYTHING, Part, Scope
from dits_client.terminal import quote_text
from dits_client.workspace.index import OUTSIDE_STAT
from dits_client.workspace.local_directory import LocalDirectory, forget_entry


class OutsideEntries:
    """The entries of a tree that a scope leaves out; only directories that it includes in part are read."""

    def __init__(
        self,
        load: ManifestLoader,
        tree: bytes | None,
        scope: Scope = EVERYTHING,
        away: Mapping[str, str] | None = None,
        untracked: Container[str] = (),
        older: Mapping[str, str] | None = None,
    ) -> None:
        """Take a tree, and `away`: hashes by path of the files that the folder is without.

        `older`: of those of which it has an older version, the hash of that.

        Those are left out as long as nothing else is on the disk there, the tree has that content, and the
        user did not take them out of the repository (`untracked`).
        """
        self.scope = scope
        self._away = {p: content for p, content in (away or {}).items() if p not in untracked}
        self.older = older or {}
        self._above_away = {above for path in self._away for above in iterate_parents(path)}
        self._above_away |= {""} if self._away else set()
        self._load = load
        self._manifests: dict[str, bytes | None] = {"": tree}
        self._entries: dict[str, dict[str, Entry]] = {}

    def __bool__(self) -> bool:
        return bool(self.scope or self._away)

    def measure(self, path: str, *, is_directory: bool) -> Part:
        """Return how much of what is at a path belongs to the folder."""
        if is_directory:
            part = self.scope.measure(path)
            return Part.SOME if part == Part.ALL and path in self._above_away else part
        return Part.ALL if self.scope.covers(path) else Part.NOTHING

    def list_entries(self, directory: str) -> dict[str, Entry]:
        """Return what a directory has that is left out, by name. Raises ClientError."""
        if self.measure(directory, is_directory=True) == Part.ALL:
            return {}
        prefix = f"{directory}/" if directory else ""
        return {
            name: entry
            for name, entry in self._load_directory(directory).items()
            if self.measure(prefix + name, is_directory=get_manifest_hash(entry) is not None)
            == Part.NOTHING
            or self._is_away(prefix + name, entry)
        }

    def list_added(self, directory: LocalDirectory) -> dict[str, Entry]:
        """Return what `add_to` has added to a directory, by name, without sub-directories."""
        if not self or OUTSIDE_STAT not in directory.stats:
            return {}
        stats = dict(zip(directory.names, directory.stats, strict=True))
        entries = self.list_entries(directory.path).items()
        return {name: entry for name, entry in entries if stats[name] == OUTSIDE_STAT}

    def add_to(self, directory: LocalDirectory) -> Iterator[tuple[str, str]]:
        """Add what is left out to a directory whose names have been read; they are not sorted yet.

        A directory that is included in part and not on the disk is added without anything in it. Yield a
        path and a sentence for each name that is something else on the disk: that is forgotten.
        """
        outside = self.list_entries(directory.path)
        for name, entry in self._load_directory(directory.path).items():
            inner = directory.join_path(name)
            is_partial = (
                get_manifest_hash(entry) is not None
                and self.measure(inner, is_directory=True) == Part.SOME
            )
            is_here = name in directory.directories or name in directory.names
            if name not in outside and (not is_partial or name in directory.directories):
                continue
            if is_here and self._is_away(inner, entry):
                continue
            if is_here:
                forget_entry(directory, name)
                yield inner, self._describe_obstacle(inner)
            if name in outside:
                directory.names.append(name)
                directory.stats.append(OUTSIDE_STAT)
            else:
                directory.directories[name] = LocalDirectory(
                    inner, directory.join_os_path(name), is_partial=True, is_absent=True
                )

    def find_newer(self, path: str, found: Entry) -> Entry | None:
        """Return the tree's entry of a file that nobody can get, if the folder has its older version."""
        if path not in self.older or self.older[path] != hash_content(found):
            return None
        above, _, name = path.rpartition("/")
        entry = self._load_directory(above).get(name)
        return entry if entry is not None and self._is_away(path, entry) else None

    def _describe_obstacle(self, path: str) -> str:
        if self.scope.measure(path) == Part.ALL:
            return (
                f"{quote_text(path)} is a folder in the commit, with files that are not here: rename "
                "yours, or take those out with `dits untrack`"
            )
        return (
            f"{quote_text(path)} is something else in the commit, which this folder does not "
            "include: rename it, or bring the commit's with `dits include`"
        )

    def _is_away(self, path: str, entry: Entry) -> bool:
        return path in self._away and entry.file.hash.hex() == self._away[path]

    def _load_directory(self, path: str) -> dict[str, Entry]:
        if path not in self._entries:
            manifest = self._find_manifest(path)
            self._entries[path] = parse_entries(self._load(manifest)) if manifest else {}
        return self._entries[path]

    def _find_manifest(self, path: str) -> bytes | None:
        if path not in self._manifests:
            above, _, name = path.rpartition("/")
            self._manifests[path] = get_manifest_hash(self._load_directory(above).get(name))
        return self._manifests[path]


def _load_nothing(manifest_hash: bytes) -> bytes:
    raise KeyError(manifest_hash)


# Of a folder that includes everything.
NOTHING_OUTSIDE = OutsideEntries(_load_nothing, None)
