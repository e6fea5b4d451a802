"""The folder as a tree: unchanged files are taken from the index, the others are read and cut."""

import stat
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.manifest import Change, ManifestLoader, get_manifest_hash, parse_entries
from dits_client.content.sources import Source
from dits_client.progress import Progress, Stage
from dits_client.workspace.drafts import DirectoryDraft, choose_mode, read_link
from dits_client.workspace.ignore import IgnoreRules
from dits_client.workspace.index import (
    DIRECTORY_STAT,
    OUTSIDE_STAT,
    UNKNOWN_STAT,
    DirectoryRecord,
    Index,
    unpack_size_and_mode,
)
from dits_client.workspace.local_directory import LocalDirectory
from dits_client.workspace.objects import RECIPE
from dits_client.workspace.prediction import UNREAD_ENTRY, predict_change
from dits_client.workspace.read_files import ReadResult, UnreadFile, read_disk_clock, read_files
from dits_client.workspace.scan import LOOKS, scan_directory, vanished_error
from dits_client.workspace.tracked import NOTHING_TRACKED, TrackedPaths
from dits_client.workspace.unusable import UnusableError


class Snapshot:
    """The state of a folder, taken in two steps: the constructor scans, `complete` reads files.

    The second step updates the index; `changed` tells whether the index must be saved then.
    """

    def __init__(
        self,
        root: Path,
        index: Index,
        warn: Callable[[str], None] = lambda _: None,
        tracked: TrackedPaths = NOTHING_TRACKED,
        ignore: IgnoreRules | None = None,
        keeps_modes: bool = False,
    ) -> None:
        """Scan the folder; with `keeps_modes`, being read-only is no change. Raises ClientError."""
        self._started_ns = read_disk_clock(root)  # before the scan, see `read_files`
        self._index = index
        self._drafts: dict[str, DirectoryDraft] = {}
        self._unread: dict[UnreadFile, tuple[DirectoryDraft, str]] = {}
        self._opened: dict[bytes, dict[str, Entry]] = {}
        self._by_stat: dict[bytes, tuple[bytes, str]] | None = None
        self._tracked, self._keeps_modes, self._top = tracked, keeps_modes, str(root)
        # Stats of the files that were read and that the index does not trust, by path.
        self.seen: dict[str, bytes] = {}
        self.directories = scan_directory(root, warn, tracked, ignore, index.records)
        # Sentences by path, for what trees cannot store: it is left out.
        self.unusable, self.outside = self.directories[0].unusable, self.directories[0].outside
        for directory in reversed(self.directories):
            self._compare(directory)
        self.changed = bool(self._drafts)
        self.files = sum(directory.count_files() for directory in self.directories)
        self.files_read = self.bytes_read = 0
        self.bytes_to_read = sum(item.size for item in self._unread)

    @property
    def tree(self) -> bytes:
        """The hash of the top directory's manifest, once the snapshot is complete."""
        return self._index.records[""].manifest

    @cached_property
    def directories_by_path(self) -> dict[str, LocalDirectory]:
        """The directories that the scan found, by path."""
        return {directory.path: directory for directory in self.directories}

    def get_source(self, path: str) -> Source:
        """Return where the bytes of a file are."""
        parent, _, name = path.rpartition("/")
        os_path = self.directories_by_path[parent].join_os_path(name)
        return Source(path, os_path, top=self._top)

    def predict_changes(
        self, load: ManifestLoader, parent: bytes | None, path: str = ""
    ) -> Iterator[tuple[Change, bool]]:
        """Yield possible differences from a tree, each with whether it is certain, before files are read.

        The entry of a file that has not been read is empty; its change is certain if its size differs.
        """
        directory, draft = self.directories_by_path.get(path), self._drafts.get(path)
        known: dict[str, Entry] = draft.entries if draft is not None else {}
        if draft is None and directory is not None:
            # Without a draft, the directory is as in the index.
            manifest = self._index.records[path].manifest
            if manifest == parent:
                return
            known = self._load_entries(manifest)
        before = parse_entries(load(parent)) if parent is not None else {}
        found = dict(zip(directory.names, directory.stats, strict=True)) if directory else {}
        for name in sorted(before.keys() | found.keys()):
            old, inner = before.get(name), f"{path}/{name}" if path else name
            if found.get(name) == OUTSIDE_STAT or inner in self.unusable:
                continue
            new = None
            if found.get(name, DIRECTORY_STAT) != DIRECTORY_STAT:
                new = known.get(name) or UNREAD_ENTRY
            old_tree = get_manifest_hash(old)
            leaf = old if old_tree is None else None
            if (leaf or new) is not None and inner not in self._tracked.outside.older:
                yield from predict_change(Change(inner, leaf, new), found.get(name))
            if old_tree is not None or found.get(name) == DIRECTORY_STAT:
                yield from self.predict_changes(load, old_tree, inner)

    def complete(
        self,
        on_file: Callable[[ReadResult], None] = lambda _: None,
        progress: Progress | None = None,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        """Read the changed files and update the index; `on_file` is called in several threads.

        After an error, `on_error` must end what `on_file` waits for.
        """
        stage = (progress or Progress()).start_stage("Reading", self.bytes_to_read)
        try:
            if self._unread:
                self._read_files(on_file, stage, on_error)
        finally:
            # After an error, too: what was read is remembered.
            self._assemble()

    def _read_files(
        self, on_file: Callable[[ReadResult], None], stage: Stage, on_error: Callable[[], None]
    ) -> None:
        """Read the changed files. Raises ClientError if a tracked one vanishes."""
        lock = threading.Lock()
        vanished: list[UnreadFile] = []

        def use(item: UnreadFile, read: ReadResult | None) -> None:
            with lock:
                if read is None:
                    vanished.append(item)
                    return
                self._add_file(*self._unread[item], read)
            on_file(read)

        read_files(self._unread, self._started_ns, use, stage, on_error)
        for pause in LOOKS:
            again = [item for item in vanished if self._tracked.has_file(item.path)]
            if not again:
                return
            time.sleep(pause)
            vanished.clear()
            read_files(again, self._started_ns, use, stage, on_error)
        if vanished:
            raise vanished_error(sorted(item.path for item in vanished))

    def _compare(self, directory: LocalDirectory) -> None:
        """Make a draft of a directory that differs from the index; sub-directories must be done already."""
        record = self._index.records.get(directory.path)
        changed_below = any(inner.path in self._drafts for inner in directory.directories.values())
        tracked = self._tracked
        outside = tracked.outside.list_added(directory)
        if directory.matches(record) and not changed_below and self._has(record, outside):
            return
        draft = self._drafts[directory.path] = DirectoryDraft(directory)
        known = dict(record.iterate_entries()) if record else {}
        old = self._load_entries(record.manifest) if record else {}
        draft.entries |= outside
        for name, found in zip(directory.names, directory.stats, strict=True):
            if found in (DIRECTORY_STAT, OUTSIDE_STAT):
                continue
            if known.get(name) == found and name in old:
                draft.entries[name] = old[name]
            else:
                self._resolve(draft, name, found)

    def _has(self, record: DirectoryRecord | None, outside: dict[str, Entry]) -> bool:
        """Return whether a directory of the index has entries: the folder may follow another commit."""
        entries = self._load_entries(record.manifest) if record and outside else {}
        return all(entries.get(name) == entry for name, entry in outside.items())

    def _resolve(self, draft: DirectoryDraft, name: str, found: bytes) -> None:
        """Add an entry that the index does not have at this path, or note that it must be read."""
        directory, path = draft.directory, draft.directory.join_path(name)
        size, mode = unpack_size_and_mode(found)
        if stat.S_ISLNK(mode):
            try:
                self._set_entry(draft, path, read_link(directory, name, self._top), found)
            except UnusableError as error:
                self.unusable[path] = str(error)
                draft.keep_tracked(name, self._tracked)
            except FileNotFoundError:
                if self._tracked.has_file(path):
                    raise vanished_error([path]) from None
            return
        moved = self._find_moved(found)
        if moved is None:
            os_path = directory.join_os_path(name)
            self._unread[UnreadFile(path, os_path, size, self._top)] = (draft, name)
        else:
            draft.entries[name] = Entry(file=moved.file)

    def _find_moved(self, found: bytes) -> Entry | None:
        """Return the entry of the file that had this stat under another path and was moved here."""
        self._by_stat = self._by_stat or self._index.map_files()
        manifest, name = self._by_stat.get(found, (b"", ""))
        return self._load_entries(manifest).get(name) if manifest else None

    def _load_entries(self, manifest: bytes) -> dict[str, Entry]:
        """Return the entries of a manifest of the index; none if it is damaged."""
        if manifest not in self._opened:
            found = self._index.objects.get(manifest)
            self._opened[manifest] = {} if found is None else parse_entries(found)
        return self._opened[manifest]

    def _add_file(self, draft: DirectoryDraft, name: str, read: ReadResult) -> None:
        path = read.source.label
        choose_mode(read.entry, lambda: self._tracked.list_files(path), self._keeps_modes)
        draft.stats[name] = read.stat
        if read.stat == UNKNOWN_STAT:
            self.seen[path] = read.seen
        self._set_entry(draft, path, read.entry, read.seen)
        for recipe in read.recipes:
            self._index.objects.add(RECIPE, recipe)
        self.files_read += 1
        self.bytes_read += read.cut.size

    def _set_entry(self, draft: DirectoryDraft, path: str, entry: Entry, seen: bytes) -> None:
        """Add an entry; an older version of a file that nobody can get counts as the commit's."""
        name = path.rpartition("/")[2]
        newer = self._tracked.outside.find_newer(path, entry)
        draft.entries[name] = newer or entry
        if newer is not None:
            draft.stats[name], self.seen[path] = UNKNOWN_STAT, seen

    def _assemble(self) -> None:
        """Add manifests and records of the changed directories to the index, children first."""
        records: dict[str, DirectoryRecord] = {}
        for directory in reversed(self.directories):
            draft = self._drafts.get(directory.path)
            if draft is None:
                records[directory.path] = self._index.records[directory.path]
            elif (record := draft.write_record(records, self._index.objects)) is not None:
                records[directory.path] = record
        self._index.records = records
        for done in (self._drafts, self._unread, self._opened):
            done.clear()
