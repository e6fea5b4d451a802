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

from dits_client.content.manifest import (
    Change,
    ManifestLoader,
    encode_directory,
    get_manifest_hash,
    parse_entries,
)
from dits_client.errors import ClientError, os_error
from dits_client.progress import Progress
from dits_client.workspace.index import (
    DIRECTORY_STAT,
    UNKNOWN_STAT,
    DirectoryRecord,
    Index,
    to_stored_stat,
    unpack_size_and_mode,
)
from dits_client.workspace.objects import MANIFEST, RECIPE
from dits_client.workspace.read_files import ReadResult, UnreadFile, read_files
from dits_client.workspace.scan import LocalDirectory, scan_directory
from shared.formats.manifests import MAX_TARGET_BYTES


@dataclass(slots=True)
class DirectoryDraft:
    """A directory that is not as in the index, and what is known of its entries."""

    directory: LocalDirectory
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
        self._drafts: dict[str, DirectoryDraft] = {}
        self._unread: dict[UnreadFile, tuple[DirectoryDraft, str]] = {}
        self._unread_bytes = 0
        self._opened: dict[bytes, dict[str, Entry]] = {}
        self._by_stat: dict[bytes, tuple[bytes, str]] | None = None
        self.directories = scan_directory(root, warn)
        for folder in reversed(self.directories):
            self._compare(folder)
        self.changed = bool(self._drafts)
        self.files = sum(len(folder.names) - len(folder.directories) for folder in self.directories)
        self.files_read = 0
        self.bytes_read = 0

    @property
    def tree(self) -> bytes:
        """The name of the top directory's manifest, once the snapshot is complete."""
        return self._index.records[""].manifest

    @cached_property
    def directories_by_path(self) -> dict[str, LocalDirectory]:
        """The directories by path; a directory in which nothing turns out to be left is gone."""
        return {folder.path: folder for folder in self.directories}

    def get_os_path(self, path: str) -> str:
        """Return where a file of the folder is on the disk."""
        parent, _, name = path.rpartition("/")
        return self.directories_by_path[parent].join_os_path(name)

    def predict_changes(
        self, load: ManifestLoader, parent: bytes | None, path: str = ""
    ) -> Iterator[tuple[Change, bool]]:
        """Yield how the folder may differ from a tree, and whether it is sure to, before files are read.

        A file that has not been read yet is an empty Entry; it is sure to differ if its size does.
        """
        folder, draft = self.directories_by_path.get(path), self._drafts.get(path)
        known: dict[str, Entry] = {}
        if draft is not None:
            known = draft.entries
        elif folder is not None:
            # As in the index, else there would be a draft.
            manifest = self._index.records[path].manifest
            if manifest == parent:
                return
            known = self._load_entries(manifest)
        before = parse_entries(load(parent)) if parent is not None else {}
        found = dict(zip(folder.names, folder.stats, strict=True)) if folder is not None else {}
        for name in sorted(before.keys() | found.keys()):
            old, inner = before.get(name), f"{path}/{name}" if path else name
            new = None
            if found.get(name, DIRECTORY_STAT) != DIRECTORY_STAT:
                new = known.get(name) or Entry()
            old_tree = get_manifest_hash(old)
            leaf = old if old_tree is None else None
            if leaf is not None or new is not None:
                yield from _predict_change(Change(inner, leaf, new), found.get(name))
            if old_tree is not None or found.get(name) == DIRECTORY_STAT:
                yield from self.predict_changes(load, old_tree, inner)

    def complete(
        self,
        on_file: Callable[[ReadResult], None] = lambda _: None,
        progress: Progress | None = None,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        """Read what has to be read, calling `on_file` for each file from several threads.

        `on_error` is called if that fails; it has to end what `on_file` may wait for.
        """
        lock = threading.Lock()

        def use(item: UnreadFile, read: ReadResult | None) -> None:
            if read is None:
                return
            with lock:
                self._add_file(*self._unread[item], read)
            on_file(read)

        if self._unread:
            stage = (progress or Progress()).start_stage("Reading", self._unread_bytes)
            read_files(self._unread, self._started_ns, use, stage, on_error)
        self._assemble()

    def _compare(self, folder: LocalDirectory) -> None:
        """Make a draft of the directory unless it is as in the index; those below come before."""
        record = self._index.records.get(folder.path)
        changed_below = any(inner.path in self._drafts for inner in folder.directories.values())
        if folder.matches(record) and not changed_below:
            return
        draft = self._drafts[folder.path] = DirectoryDraft(folder)
        known = dict(record.iterate_entries()) if record else {}
        old = self._load_entries(record.manifest) if record else {}
        for name, found in zip(folder.names, folder.stats, strict=True):
            if found == DIRECTORY_STAT:
                continue
            if known.get(name) == found and name in old:
                draft.entries[name] = old[name]
            else:
                self._resolve(draft, name, found)

    def _resolve(self, draft: DirectoryDraft, name: str, found: bytes) -> None:
        """Find out what an entry is that the index does not have at this path."""
        size, mode = unpack_size_and_mode(found)
        if stat.S_ISLNK(mode):
            draft.entries[name] = _read_link(draft.directory, name)
            return
        moved = self._find_moved(found)
        if moved is None:
            folder = draft.directory
            self._unread[UnreadFile(folder.join_path(name), folder.join_os_path(name), size)] = (
                draft,
                name,
            )
            self._unread_bytes += size
        else:
            draft.entries[name] = Entry(file=moved.file)

    def _find_moved(self, found: bytes) -> Entry | None:
        """Return the entry of the file that had this stat under another path: it was moved here."""
        if self._by_stat is None:
            self._by_stat = {
                known: (record.manifest, name)
                for record in self._index.records.values()
                for name, known in record.iterate_entries()
                if known not in (UNKNOWN_STAT, DIRECTORY_STAT)
            }
        manifest, name = self._by_stat.get(found, (b"", ""))
        return self._load_entries(manifest).get(name) if manifest else None

    def _load_entries(self, manifest: bytes) -> dict[str, Entry]:
        """Return the entries of a manifest of the index, none if it is damaged."""
        if manifest not in self._opened:
            content = self._index.objects.get(manifest)
            self._opened[manifest] = parse_entries(content) if content is not None else {}
        return self._opened[manifest]

    def _add_file(self, draft: DirectoryDraft, name: str, read: ReadResult) -> None:
        draft.entries[name] = read.entry
        draft.stats[name] = read.stat
        for recipe in read.recipes:
            self._index.objects.add(RECIPE, recipe)
        self.files_read += 1
        self.bytes_read += read.cut.size

    def _assemble(self) -> None:
        """Write the manifests of the changed directories, and the records, children first."""
        records: dict[str, DirectoryRecord] = {}
        for folder in reversed(self.directories):
            draft = self._drafts.get(folder.path)
            if draft is None:
                records[folder.path] = self._index.records[folder.path]
            elif (record := self._write_record(draft, records)) is not None:
                records[folder.path] = record
        self._index.records = records
        self._drafts.clear()
        self._unread.clear()
        self._opened.clear()

    def _write_record(
        self, draft: DirectoryDraft, records: dict[str, DirectoryRecord]
    ) -> DirectoryRecord | None:
        """Write the manifest of one directory; None = it turned out to be empty."""
        folder, names, stats, entries = draft.directory, [], [], []
        for name, found in zip(folder.names, folder.stats, strict=True):
            entry = draft.entries.get(name)
            inner = records.get(folder.join_path(name)) if found == DIRECTORY_STAT else None
            if inner is not None:
                entry = Entry(directory=Directory(manifest_hash=inner.manifest))
            if entry is None:
                continue
            entry.name = name
            entries.append(entry)
            names.append(name)
            stats.append(draft.stats.get(name) or to_stored_stat(found))
        if not entries and folder.path:
            return None
        manifest = self._index.objects.add(MANIFEST, encode_directory(folder.path, entries))
        return DirectoryRecord(manifest, "\0".join(names), b"".join(stats))


def _predict_change(change: Change, found: bytes | None) -> Iterator[tuple[Change, bool]]:
    """Yield a change unless there is sure to be none."""
    _, old, new = change
    if old is None or new is None:
        yield change, True
    elif new.WhichOneof("kind") is None and found is not None:
        size, _ = unpack_size_and_mode(found)
        yield change, not old.HasField("file") or old.file.size != size
    elif (old.file, old.symlink) != (new.file, new.symlink):
        yield change, True


def _read_link(folder: LocalDirectory, name: str) -> Entry:
    path = folder.join_path(name)
    try:
        # A Path would tidy the target up; it has to stay as it is.
        target = os.readlink(folder.join_os_path(name))  # noqa: PTH115
        size = len(target.encode())
    except OSError as error:
        raise os_error(error, "read", path) from error
    except UnicodeEncodeError:
        raise ClientError(f'the link "{path}" points at a name that is not UTF-8') from None
    if not 1 <= size <= MAX_TARGET_BYTES:
        raise ClientError(f'the link "{path}" points at a name that is too long')
    return Entry(symlink=Symlink(target=target))
