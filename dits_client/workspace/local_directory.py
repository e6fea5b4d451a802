"""The directories of a folder, as a scan finds them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from dits_client.workspace.index import DIRECTORY_STAT, OUTSIDE_STAT, DirectoryRecord

# The client's own directory. A tree never contains it, at any depth and in any case of its letters: the
# client would take it for the state of a folder.
OWN_DIRECTORY = ".dits"


@dataclass(slots=True, eq=False)
class LocalDirectory:
    """A directory on the disk; its entries and their stats are sorted by name."""

    # Relative to the top directory, in NFC; empty = the top directory.
    path: str
    # The path for the operating system.
    os_path: str
    names: list[str] = field(default_factory=list)
    stats: list[bytes] = field(default_factory=list)
    directories: dict[str, "LocalDirectory"] = field(default_factory=dict)
    # The names on the disk of entries whose names there are not in NFC.
    disk_names: dict[str, str] = field(default_factory=dict)
    # Only in the top directory: paths, at any depth, of files that a checkout did not finish.
    partial_files: list[str] = field(default_factory=list)
    # Only in the top directory: sentences by path, at any depth, of what cannot be stored.
    unusable: dict[str, str] = field(default_factory=dict)
    # Only in the top directory: the paths of those, at any depth, that have nothing in them.
    empty: list[str] = field(default_factory=list)
    # The folder includes only a part of it; the commit has it, and it is not on the disk.
    is_partial: bool = False
    is_absent: bool = False
    # Only in the top directory: paths, at any depth, of what is on the disk and not included.
    outside: list[str] = field(default_factory=list)
    # An ignore pattern matches the directory: only what is tracked belongs to it.
    is_ignored: bool = False

    def join_path(self, name: str) -> str:
        """Return the path of an entry."""
        return f"{self.path}/{name}" if self.path else name

    def join_os_path(self, name: str) -> str:
        """Return the path of an entry for the operating system."""
        return f"{self.os_path}/{self.disk_names.get(name, name)}"

    def count_files(self) -> int:
        """Return how many files and links are in the directory itself."""
        outside = self.stats.count(OUTSIDE_STAT) if self.is_partial else 0
        return len(self.names) - len(self.directories) - outside

    def matches(self, record: DirectoryRecord | None) -> bool:
        """Return whether names and stats are those of the record; sub-directories are not compared."""
        return (
            record is not None
            and record.names == "\0".join(self.names)
            and record.stats == b"".join(self.stats)
        )


def map_disk_names(directories: Iterable[LocalDirectory]) -> dict[str, str]:
    """Return the names on the disk, by path, of what is not spelled in NFC there."""
    return {
        directory.join_path(name): disk_name
        for directory in directories
        for name, disk_name in directory.disk_names.items()
    }


def forget_entry(directory: LocalDirectory, name: str) -> None:
    """Remove an entry that is not sorted yet."""
    if directory.directories.pop(name, None) is None:
        at = directory.names.index(name)
        del directory.names[at], directory.stats[at]


def sort_entries(directory: LocalDirectory) -> None:
    """Sort the entries, with the sub-directories that have entries; those must be sorted already."""
    if not directory.directories and directory.names == sorted(directory.names):
        return
    entries = list(zip(directory.names, directory.stats, strict=True))
    entries += [
        (name, DIRECTORY_STAT) for name, inner in directory.directories.items() if inner.names
    ]
    entries.sort()
    directory.names = [name for name, _ in entries]
    directory.stats = [found for _, found in entries]
    directory.directories = {
        name: inner for name, inner in directory.directories.items() if inner.names
    }


def is_own(directory: LocalDirectory, name: str) -> bool:
    """Return whether `.dits` is the state of a folder, this one or one inside it, and no file of users."""
    is_top = not directory.path and name == OWN_DIRECTORY
    return is_top or os.path.lexists(f"{directory.os_path}/{name}/state.json")
