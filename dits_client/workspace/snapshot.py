"""The folder as a tree: unchanged files from the index, the others read, cut and named."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dits.repo.v1.manifest_pb2 import Directory, Entry, Symlink

from dits_client.content.manifest import Change, Load, encode_directory, entries_of, subtree
from dits_client.errors import ClientError, os_error
from dits_client.progress import Progress
from dits_client.workspace.index import DIRECTORY, UNKNOWN, Index, Record, size_and_mode, to_keep
from dits_client.workspace.objects import MANIFEST, RECIPE
from dits_client.workspace.read_files import Read, Unread, read_files
from dits_client.workspace.scan import Folder, scan
from shared.formats.manifests import MAX_TARGET_BYTES


@dataclass(slots=True)
class Draft:
    """A directory that is not as in the index, and what is known of its entries."""

    folder: Folder
    # Files and links by name; one that is gone before it was read has none.
    entries: dict[str, Entry] = field(default_factory=dict)
    # Stats that differ from those of the scan.
    stats: dict[str, bytes] = field(default_factory=dict)


class Snapshot:
    """The state of a folder, taken in two steps: making it looks, `complete` reads.

    The second step brings the index up to date; `changed` tells whether it is worth saving then.
    """

    def __init__(
        self, root: Path, index: Index, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        """Look at every name and stat, and find the directories that are not as in the index."""
        # Before any file is looked at, see `read_files`.
        self._started_ns = time.time_ns()
        self._index = index
        self._drafts: dict[str, Draft] = {}
        self._unread: dict[Unread, tuple[Draft, str]] = {}
        self._unread_bytes = 0
        self._opened: dict[bytes, dict[str, Entry]] = {}
        self._by_stat: dict[bytes, tuple[bytes, str]] | None = None
        self.folders = scan(root, warn)
        for folder in reversed(self.folders):
            self._compare(folder)
        self.changed = bool(self._drafts)
        self.files = sum(len(folder.names) - len(folder.folders) for folder in self.folders)
        self.files_read = 0
        self.bytes_read = 0

    @property
    def tree(self) -> bytes:
        """The name of the top directory's manifest, once the snapshot is complete."""
        return self._index.records[""].manifest

    @cached_property
    def directories(self) -> dict[str, Folder]:
        """The directories by path; a directory in which nothing turns out to be left is gone."""
        return {folder.path: folder for folder in self.folders}

    def place_of(self, path: str) -> str:
        """Return where a file of the folder is on the disk."""
        parent, _, name = path.rpartition("/")
        return self.directories[parent].place_of(name)

    def expected(
        self, load: Load, parent: bytes | None, path: str = ""
    ) -> Iterator[tuple[Change, bool]]:
        """Yield how the folder may differ from a tree, and whether it is sure to, before files are read.

        A file that has not been read yet is an empty Entry; it is sure to differ if its size does.
        """
        folder, draft = self.directories.get(path), self._drafts.get(path)
        known: dict[str, Entry] = {}
        if draft is not None:
            known = draft.entries
        elif folder is not None:
            # As in the index, else there would be a draft.
            manifest = self._index.records[path].manifest
            if manifest == parent:
                return
            known = self._entries(manifest)
        before = entries_of(load(parent)) if parent is not None else {}
        found = dict(zip(folder.names, folder.stats, strict=True)) if folder is not None else {}
        for name in sorted(before.keys() | found.keys()):
            old, inner = before.get(name), f"{path}/{name}" if path else name
            new = None
            if found.get(name, DIRECTORY) != DIRECTORY:
                new = known.get(name) or Entry()
            old_tree = subtree(old)
            leaf = old if old_tree is None else None
            if leaf is not None or new is not None:
                yield from _expected(Change(inner, leaf, new), found.get(name))
            if old_tree is not None or found.get(name) == DIRECTORY:
                yield from self.expected(load, old_tree, inner)

    def complete(
        self,
        on_file: Callable[[Read], None] = lambda _: None,
        progress: Progress | None = None,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        """Read what has to be read, calling `on_file` for each file from several threads.

        `on_error` is called if that fails; it has to end what `on_file` may wait for.
        """
        lock = threading.Lock()

        def use(item: Unread, read: Read | None) -> None:
            if read is None:
                return
            with lock:
                self._take(*self._unread[item], read)
            on_file(read)

        if self._unread:
            stage = (progress or Progress()).stage("Reading", self._unread_bytes)
            read_files(self._unread, self._started_ns, use, stage, on_error)
        self._assemble()

    def _compare(self, folder: Folder) -> None:
        """Make a draft of the directory unless it is as in the index; those below come before."""
        record = self._index.records.get(folder.path)
        changed_below = any(inner.path in self._drafts for inner in folder.folders.values())
        if folder.same_as(record) and not changed_below:
            return
        draft = self._drafts[folder.path] = Draft(folder)
        known = dict(record.entries()) if record else {}
        old = self._entries(record.manifest) if record else {}
        for name, found in zip(folder.names, folder.stats, strict=True):
            if found == DIRECTORY:
                continue
            if known.get(name) == found and name in old:
                draft.entries[name] = old[name]
            else:
                self._resolve(draft, name, found)

    def _resolve(self, draft: Draft, name: str, found: bytes) -> None:
        """Find out what an entry is that the index does not have at this path."""
        size, mode = size_and_mode(found)
        if stat.S_ISLNK(mode):
            draft.entries[name] = _link(draft.folder, name)
            return
        moved = self._moved(found)
        if moved is None:
            folder = draft.folder
            self._unread[Unread(folder.inner(name), folder.place_of(name), size)] = (draft, name)
            self._unread_bytes += size
        else:
            draft.entries[name] = Entry(file=moved.file)

    def _moved(self, found: bytes) -> Entry | None:
        """Return the entry of the file that had this stat under another path: it was moved here."""
        if self._by_stat is None:
            self._by_stat = {
                known: (record.manifest, name)
                for record in self._index.records.values()
                for name, known in record.entries()
                if known not in (UNKNOWN, DIRECTORY)
            }
        manifest, name = self._by_stat.get(found, (b"", ""))
        return self._entries(manifest).get(name) if manifest else None

    def _entries(self, manifest: bytes) -> dict[str, Entry]:
        """Return the entries of a manifest of the index, none if it is damaged."""
        if manifest not in self._opened:
            content = self._index.objects.get(manifest)
            self._opened[manifest] = entries_of(content) if content is not None else {}
        return self._opened[manifest]

    def _take(self, draft: Draft, name: str, read: Read) -> None:
        draft.entries[name] = read.entry
        draft.stats[name] = read.stat
        for recipe in read.recipes:
            self._index.objects.add(RECIPE, recipe)
        self.files_read += 1
        self.bytes_read += read.cut.size

    def _assemble(self) -> None:
        """Write the manifests of the changed directories, and the records, children first."""
        records: dict[str, Record] = {}
        for folder in reversed(self.folders):
            draft = self._drafts.get(folder.path)
            if draft is None:
                records[folder.path] = self._index.records[folder.path]
            elif (record := self._record(draft, records)) is not None:
                records[folder.path] = record
        self._index.records = records
        self._drafts.clear()
        self._unread.clear()
        self._opened.clear()

    def _record(self, draft: Draft, records: dict[str, Record]) -> Record | None:
        """Write the manifest of one directory; None = it turned out to be empty."""
        folder, names, stats, entries = draft.folder, [], [], []
        for name, found in zip(folder.names, folder.stats, strict=True):
            entry = draft.entries.get(name)
            inner = records.get(folder.inner(name)) if found == DIRECTORY else None
            if inner is not None:
                entry = Entry(directory=Directory(manifest_hash=inner.manifest))
            if entry is None:
                continue
            entry.name = name
            entries.append(entry)
            names.append(name)
            stats.append(draft.stats.get(name) or to_keep(found))
        if not entries and folder.path:
            return None
        manifest = self._index.objects.add(MANIFEST, encode_directory(folder.path, entries))
        return Record(manifest, "\0".join(names), b"".join(stats))


def _expected(change: Change, found: bytes | None) -> Iterator[tuple[Change, bool]]:
    """Yield a change unless there is sure to be none."""
    _, old, new = change
    if old is None or new is None:
        yield change, True
    elif new.WhichOneof("kind") is None and found is not None:
        size, _ = size_and_mode(found)
        yield change, not old.HasField("file") or old.file.size != size
    elif (old.file, old.symlink) != (new.file, new.symlink):
        yield change, True


def _link(folder: Folder, name: str) -> Entry:
    path = folder.inner(name)
    try:
        # A Path would tidy the target up; it has to stay as it is.
        target = os.readlink(folder.place_of(name))  # noqa: PTH115
        size = len(target.encode())
    except OSError as error:
        raise os_error(error, "read", path) from error
    except UnicodeEncodeError:
        raise ClientError(f'the link "{path}" points at a name that is not UTF-8') from None
    if not 1 <= size <= MAX_TARGET_BYTES:
        raise ClientError(f'the link "{path}" points at a name that is too long')
    return Entry(symlink=Symlink(target=target))
