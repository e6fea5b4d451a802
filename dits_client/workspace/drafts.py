"""Directories that differ from the index, on the way to their new manifests."""

from contextlib import closing
from dataclasses import dataclass, field

from dits.repo.v1.manifest_pb2 import Directory, Entry, Symlink

from dits_client.content.file_opener import FileOpener
from dits_client.content.manifest import encode_directory
from dits_client.errors import os_error
from dits_client.terminal import quote_text
from dits_client.workspace.index import DIRECTORY_STAT, OUTSIDE_STAT, DirectoryRecord
from dits_client.workspace.local_directory import LocalDirectory
from dits_client.workspace.objects import MANIFEST, Objects
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.unusable import UnusableError
from shared.formats.manifests import MAX_TARGET_BYTES

# Of a mode: those of all, and that of the owner.
WRITE_BITS, OWNER_WRITES = 0o222, 0o200


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


def keep_mode(entry: Entry, tracked: Entry | None) -> None:
    """Give a file that is read-only on the disk the mode that it has in the commit, or a writable one."""
    mode = entry.file.mode
    if mode & WRITE_BITS:
        return
    same = tracked is not None and tracked.file.mode & ~WRITE_BITS == mode
    entry.file.mode = tracked.file.mode if tracked and same else mode | OWNER_WRITES


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
    return Entry(symlink=Symlink(target=target))
