"""What the client does in the directories of a folder, the same on every system."""

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

# From a tick of a disk's clock to a time that is no tick.
BETWEEN_TICKS_NS = 1_000


class FileStat(Protocol):
    """What is known of a file, as `os.stat_result` has it; 0 = the disk does not tell."""

    @property
    def st_mode(self) -> int: ...  # noqa: D102
    @property
    def st_ino(self) -> int: ...  # noqa: D102
    @property
    def st_size(self) -> int: ...  # noqa: D102
    @property
    def st_mtime_ns(self) -> int: ...  # noqa: D102
    @property
    def st_ctime_ns(self) -> int: ...  # noqa: D102


class DirectoryEntry(Protocol):
    """A name in a directory."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def stat(self, *, follow_symlinks: bool) -> FileStat:
        """Return the stat of the file or link itself; `follow_symlinks` is false. Raises OSError."""


class Directory(Protocol):
    """An open directory. Nothing that is done in it follows a link; all raises OSError.

    Names are those of its entries, without a slash.
    """

    def scan(self) -> Sequence[DirectoryEntry]:
        """Return the entries, sorted by name."""

    def get_stat(self, name: str) -> FileStat:
        """Return the stat of an entry."""

    def enter(self, name: str) -> "Directory":
        """Return a directory in it. Raises NotADirectoryError, also for a link to a directory."""

    def make(self, name: str) -> None:
        """Make a directory in it."""

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory in it."""

    def open_file(self, name: str) -> int:
        """Return the descriptor of a file for reading; it may be a pipe, for which nothing waits."""

    def create_file(self, name: str) -> int:
        """Return the descriptor of a new file, for writing and reading."""

    def finish_file(self, descriptor: int, name: str, mode: int) -> FileStat:
        """Close a new file that is written, after it got its mode and a time between two ticks.

        The disk stamps files with a clock that ticks: a later change in the same tick would not change the
        time, and the index would not notice it.
        """

    def set_mode(self, name: str, mode: int) -> tuple[FileStat, FileStat]:
        """Change the mode of a file; return its stats before and after that."""

    def rename(self, name: str, last: str) -> None:
        """Rename a file or link, over one that has the name. Raises IsADirectoryError."""

    def remove_file(self, name: str) -> None:
        """Remove a file or link."""

    def is_in_use(self, name: str) -> bool:
        """Return whether another program keeps a file from being replaced or removed."""

    def read_link(self, name: str) -> str:
        """Return the target of a symbolic link."""

    def write_link(self, target: str, name: str) -> None:
        """Make a symbolic link."""

    def is_current(self) -> bool:
        """Return whether it is the current directory of the process."""

    def sync(self) -> None:
        """Return when its entries are on the disk."""

    def sync_file_system(self) -> None:
        """Return when all that its file system has to write is on the disk; that may be of others, too."""

    def close(self) -> None:
        """Close it."""


class Disk(Protocol):
    """How a system touches files."""

    # The execute bits of files, and who may read them, are kept.
    @property
    def keeps_modes(self) -> bool: ...  # noqa: D102

    # Files have numbers that stay when they are renamed.
    @property
    def has_inodes(self) -> bool: ...  # noqa: D102

    # A file that is open can get another in its place, and what was written can be synchronised later.
    @property
    def replaces_open_files(self) -> bool: ...  # noqa: D102

    def open_top(self, path: str) -> Directory:
        """Return a directory; links on the way to it are followed. Raises OSError."""

    def get_open_stat(self, descriptor: int) -> FileStat:
        """Return the stat of an open file. Raises OSError."""

    def open_anywhere(self, path: str) -> int:
        """Return the descriptor of a file for reading; links on the way are followed. Raises OSError."""

    def can_write_links(self, own: Path) -> bool:
        """Return whether symbolic links can be made; `own` is a directory of the client's on that disk."""

    def replace(self, temporary: Path, path: Path) -> None:
        """Rename a file of the client's own over another one. Raises OSError."""


def walk_files(above: Directory, name: str) -> Iterator[str]:
    """Yield the paths, from a directory of `above` on, of what is below it, except directories."""
    inner = above.enter(name)
    try:
        for entry in inner.scan():
            path = f"{name}/{entry.name}"
            if stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode):
                yield from (f"{name}/{found}" for found in walk_files(inner, entry.name))
            else:
                yield path
    finally:
        inner.close()


def remove_empty_tree(above: Directory, name: str) -> None:
    """Remove a directory of `above` and those in it, which must all be empty. Raises OSError."""
    inner = above.enter(name)
    try:
        for entry in inner.scan():
            remove_empty_tree(inner, entry.name)
    finally:
        inner.close()
    above.remove_directory(name)
