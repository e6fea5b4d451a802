"""Directories that differ from the index, on the way to their new manifests."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from dits.repo.v1.manifest_pb2 import Directory, Entry, Symlink

from dits_client.content.file_opener import FileOpener
from dits_client.content.manifest import encode_directory
from dits_client.disk.disks import get_disk
from dits_client.errors import os_error
from dits_client.terminal import quote_text
from dits_client.workspace.index import DIRECTORY_STAT, OUTSIDE_STAT, DirectoryRecord
from dits_client.workspace.local_directory import LocalDirectory
from dits_client.workspace.objects import MANIFEST, Objects
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.unusable import UnusableError
from shared.formats.canonical import FormatError, check_line
from shared.formats.manifests import MAX_TARGET_BYTES

# Of a mode: those of all, and that of the owner.
WRITE_BITS, OWNER_WRITES = 0o222, 0o200
# Of a new file, where the disk does not keep modes.
NEW_MODE = 0o644


@dataclass(slots=True)
class DirectoryDraft:
    """A directory that differs from the index, and what is known about its entries."""

    directory: LocalDirectory
    # Files and links by name; a file that was removed before it was read is absent.
    entries: dict[str, Entry] = field(default_factory=dict)
    # Stats that differ from those of the scan.
    stats: dict[str, bytes] = field(default_factory=dict)

    def write_record(
        self, records: dict[str, DirectoryRecord], objects: Objects
    ) -> DirectoryRecord | None:
        """Return the record of one directory and add its manifest; None = the directory is empty."""
        directory, names, stats, entries = self.directory, [], [], []
        for name, found in zip(directory.names, directory.stats, strict=True):
            entry = self.entries.get(name)
            inner = records.get(directory.join_path(name)) if found == DIRECTORY_STAT else None
            if inner is not None:
                entry = Entry(directory=Directory(manifest_hash=inner.manifest))
            if entry is None:
                continue
            entry.name = name
            entries.append(entry)
            names.append(name)
            stats.append(self.stats.get(name, found))
        if not entries and directory.path:
            return None
        manifest = objects.add(MANIFEST, encode_directory(directory.path, entries))
        return DirectoryRecord(manifest, "\0".join(names), b"".join(stats))

    def keep_tracked(self, name: str, tracked: TrackedPaths) -> None:
        """Let the commit keep what it has at the name of something that cannot be stored."""
        path = self.directory.join_path(name)
        if tracked.has_file(path) and (entry := tracked.get_entry(path)) is not None:
            self.entries[name], self.stats[name] = entry, OUTSIDE_STAT


def choose_mode(
    entry: Entry, list_tracked: Callable[[], Sequence[Entry]], keeps_writable: bool
) -> None:
    """Give a file the mode to store, where the disk does not tell it; the files of the trees may.

    Where the disk has no modes, that is the one of the commit: of its own content, if trees have several; a
    new file can be read by all, and is no program. With `keeps_writable`, being read-only is no change.
    """
    if not get_disk().keeps_modes:
        tracked = list_tracked()
        same = [each for each in tracked if each.file.hash == entry.file.hash]
        entry.file.mode = (same or tracked)[0].file.mode if tracked else NEW_MODE
    elif keeps_writable and not (mode := entry.file.mode) & WRITE_BITS:
        first = next(iter(list_tracked()), None)
        same_mode = first is not None and first.file.mode & ~WRITE_BITS == mode
        entry.file.mode = first.file.mode if first and same_mode else mode | OWNER_WRITES


def read_link(directory: LocalDirectory, name: str, top: str) -> Entry:
    """Return the entry of a symbolic link of a folder, whose top directory is at `top`.

    Raises UnusableError if trees cannot store its target, FileNotFoundError if it is gone.
    """
    path = directory.join_path(name)
    try:
        with closing(FileOpener()) as opener:
            above, disk_name = opener.enter(directory.join_os_path(name), top)
            target = above.read_link(disk_name)
        size = len(target.encode())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise os_error(error, "read", path) from error
    except UnicodeEncodeError:
        raise UnusableError(
            f"the link {quote_text(path)} points at a name that is not UTF-8"
        ) from None
    if not 1 <= size <= MAX_TARGET_BYTES:
        raise UnusableError(f"the link {quote_text(path)} points at a name that is too long")
    try:
        check_line("target", target)
    except FormatError as error:
        told = f"the link {quote_text(path)} points at a name that {error.description}"
        raise UnusableError(told) from None
    return Entry(symlink=Symlink(target=target))
