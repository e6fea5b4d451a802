"""Directories by paths, for systems without descriptors of them (Windows).

Before each step, every directory on the way from the top is looked at: one that is a link, a junction or
another name for a place elsewhere is not entered. Who puts one there between the look and the step is not
kept out (`docs/decisions/0038-the-client-on-windows.md`).
"""

import errno
import os
import stat
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path

from dits_client.disk.directory import BETWEEN_TICKS_NS
from dits_client.disk.looks import (
    BINARY,
    PathEntry,
    PathStat,
    check_directory,
    is_kept_open,
    open_checked_file,
    open_plainly,
    simplify_stat,
)
from dits_client.disk.patience import wait_while_in_use
from dits_client.disk.syncing import sync_descriptor

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY
# What begins paths that may be longer than 260 characters, and in which no name is special.
_LONG, _LONG_SHARE = "\\\\?\\", "\\\\?\\UNC"
# What ends a name in a path; on Windows, a colon does, too.
_SEPARATORS = frozenset(os.sep + (os.altsep or "") + (":" if sys.platform == "win32" else ""))

_get_name = attrgetter("name")


class PathDirectory:
    """A directory whose way from the top is looked at before each step."""

    __slots__ = ("_below", "_disk", "_path")

    def __init__(self, disk: "PathDisk", path: str, below: Sequence[str] = ()) -> None:
        """Take its path, and those of the directories on the way below the top, with its own."""
        self._disk = disk
        self._path = path
        self._below = below

    def scan(self) -> list[PathEntry]:
        """Return the entries, sorted by name."""
        self._check()
        with os.scandir(self._path) as found:
            return sorted(map(PathEntry, found), key=_get_name)

    def get_stat(self, name: str) -> PathStat:
        """Return the stat of an entry."""
        return simplify_stat(os.lstat(self._join(name)))

    def enter(self, name: str) -> "PathDirectory":
        """Return a directory in it."""
        path = self._join(name)
        check_directory(path)
        return PathDirectory(self._disk, path, [*self._below, path])

    def make(self, name: str) -> None:
        """Make a directory in it."""
        os.mkdir(self._join(name))  # noqa: PTH102

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory in it."""
        os.rmdir(self._join(name))  # noqa: PTH106

    def open_file(self, name: str) -> int:
        """Return the descriptor of a file for reading."""
        path = self._join(name)
        return wait_while_in_use(lambda: open_checked_file(path))

    def create_file(self, name: str) -> int:
        """Return the descriptor of a new file."""
        return os.open(self._join(name), _NEW, 0o600)

    def finish_file(self, descriptor: int, name: str, mode: int) -> PathStat:
        """Close a new file that is written and on the disk, after it got its mode and time.

        They belong to its path, and the last write must not change the time after that.
        """
        path = self._join(name)
        try:
            sync_descriptor(descriptor)
        finally:
            os.close(descriptor)
        now = os.lstat(path).st_mtime_ns + BETWEEN_TICKS_NS
        # Virus scanners look at what is new.
        wait_while_in_use(lambda: os.utime(path, ns=(now, now)))
        wait_while_in_use(lambda: os.chmod(path, mode))  # noqa: PTH101
        return simplify_stat(os.lstat(path))

    def set_mode(self, name: str, mode: int) -> tuple[PathStat, PathStat]:
        """Change whether a file is read-only; return its stats before and after that."""
        path = self._join(name)
        before = simplify_stat(os.lstat(path))
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        wait_while_in_use(lambda: os.chmod(path, mode))  # noqa: PTH101
        return before, simplify_stat(os.lstat(path))

    def rename(self, name: str, last: str) -> None:
        """Rename a file or link, over one that has the name, which may be open for a moment."""
        source, target = self._join(name), self._join(last)
        self._change(target, lambda: self._disk.rename(source, target))

    def remove_file(self, name: str) -> None:
        """Remove a file or link, which may be open for a moment."""
        path = self._join(name)
        self._change(path, lambda: self._disk.remove(path))

    def is_in_use(self, name: str) -> bool:
        """Return whether another program keeps a file from being replaced or removed."""
        return self._disk.is_in_use(self._join(name))

    def read_link(self, name: str) -> str:
        """Return the target of a symbolic link, with slashes as other systems have them."""
        return os.readlink(self._join(name)).replace(os.sep, "/")  # noqa: PTH115

    def write_link(self, target: str, name: str) -> None:
        """Make a symbolic link, which Windows wants to know the kind of its target of."""
        path, system_target = self._join(name), target.replace("/", os.sep)
        # Windows does not go up in a path that may be long.
        place = Path(self._path)
        for part in target.split("/"):
            place = place.parent if part == os.pardir else place / part
        is_directory = place.is_dir()
        self._disk.link(system_target, path, is_directory)

    def is_current(self) -> bool:
        """Return whether it is the current directory of the process."""
        try:
            return os.path.samefile(self._path, os.curdir)  # noqa: PTH121
        except OSError:
            return False

    def sync(self) -> None:
        """Do nothing: the system has no such call for directories."""

    def sync_file_system(self) -> None:
        """Do nothing: each file was put on the disk when it was finished."""

    def close(self) -> None:
        """Do nothing: it is not open."""

    def _join(self, name: str) -> str:
        """Return the path of an entry, if the way to it leads nowhere else."""
        if not name or not _SEPARATORS.isdisjoint(name) or name in (os.curdir, os.pardir):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
        self._check()
        return self._complete(name)

    def _complete(self, end: str) -> str:
        """Return the path of what is below it; that of a drive has the slash, and two are an error."""
        return self._path + ("" if self._path.endswith(os.sep) else os.sep) + end

    def _check(self) -> None:
        for path in self._below:
            check_directory(path)

    @staticmethod
    def _change(path: str, change: Callable[[], None]) -> None:
        """Replace or remove what is at a path; that it is read-only is in the way on Windows."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            wait_while_in_use(change)
            return
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        is_read_only = stat.S_ISREG(found.st_mode) and not found.st_mode & stat.S_IWUSR
        if is_read_only:
            os.chmod(path, stat.S_IMODE(found.st_mode) | stat.S_IWUSR)  # noqa: PTH101
        try:
            wait_while_in_use(change)
        except OSError:
            if is_read_only:
                os.chmod(path, stat.S_IMODE(found.st_mode))  # noqa: PTH101
            raise


class PathDisk:
    """Windows; and any other system, for tests."""

    keeps_modes = False
    has_inodes = False
    replaces_open_files = False

    def __init__(
        self,
        rename: Callable[[str, str], None] = os.replace,
        remove: Callable[[str], None] = os.remove,
        link: Callable[[str, str, bool], None] = os.symlink,
        is_in_use: Callable[[str], bool] = is_kept_open,
    ) -> None:
        """Take the calls that Windows refuses, while a file is open elsewhere or without the right.

        `is_in_use` tells whether it would refuse the first two.
        """
        self.rename, self.remove, self.link = rename, remove, link
        self.is_in_use = is_in_use

    def open_top(self, path: str) -> PathDirectory:
        """Return a directory."""
        full = _complete(path)
        if not os.path.isdir(full):  # noqa: PTH112
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return PathDirectory(self, full)

    def get_open_stat(self, descriptor: int) -> PathStat:
        """Return the stat of an open file."""
        return simplify_stat(os.fstat(descriptor))

    def open_anywhere(self, path: str) -> int:
        """Return the descriptor of a file for reading."""
        return open_plainly(_complete(path))

    def can_write_links(self, own: Path) -> bool:
        """Return whether symbolic links can be made, after a try."""
        path = own / f"link-{os.urandom(8).hex()}"
        try:
            self.link("target", str(path), False)
        except OSError:
            return False
        # It may be a system that says yes, and makes none.
        is_there = path.is_symlink()
        path.unlink(missing_ok=True)
        return is_there

    def replace(self, temporary: Path, path: Path) -> None:
        """Rename a file of the client's own over another one, which may be open for a moment."""
        wait_while_in_use(lambda: self.rename(str(temporary), str(path)))


def _complete(path: str) -> str:
    full = os.path.abspath(path)  # noqa: PTH100
    return lengthen(full) if sys.platform == "win32" else full


def lengthen(path: str) -> str:
    r"""Return a full path of Windows as one that may be long: `C:\a` as `\\?\C:\a`."""
    if path.startswith(_LONG):
        return path
    return _LONG_SHARE + path[1:] if path.startswith("\\\\") else _LONG + path
