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
from typing import NamedTuple

from dits_client.disk.directory import BETWEEN_TICKS_NS
from dits_client.disk.patience import wait_while_in_use

# Of Windows: bytes as they are. Of the others, where tests run: no link at the end, and no wait for a pipe.
_BINARY = getattr(os, "O_BINARY", 0)
_FILE = os.O_RDONLY | _BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY
# Of the tag of a reparse point: it is another name for something elsewhere, as junctions are.
_NAME_SURROGATE = 0x20000000
# Modes as a new file has them on other systems; Windows keeps whether the owner may write.
_WRITABLE, _READ_ONLY = 0o644, 0o444
# What begins paths that may be longer than 260 characters, and in which no name is special.
_LONG, _LONG_SHARE = "\\\\?\\", "\\\\?\\UNC"

_get_name = attrgetter("name")


class PathStat(NamedTuple):
    """What is the same whether a file is listed, looked at or open; the rest is 0."""

    st_mode: int
    st_ino: int
    st_size: int
    st_mtime_ns: int
    # On Windows, when the file was made.
    st_ctime_ns: int


def simplify_stat(found: os.stat_result) -> PathStat:
    """Return what is comparable of a stat; the kind is 0 for a name of something elsewhere but a link."""
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFLNK and getattr(found, "st_reparse_tag", 0) & _NAME_SURROGATE:
        kind = 0
    mode = _WRITABLE if found.st_mode & stat.S_IWUSR else _READ_ONLY
    size = found.st_size if kind == stat.S_IFREG else 0
    return PathStat(kind | mode, 0, size, found.st_mtime_ns, found.st_ctime_ns)


class PathEntry(NamedTuple):
    """A name in a directory, as it was listed."""

    entry: os.DirEntry[str]

    @property
    def name(self) -> str:
        """The name."""
        return self.entry.name

    def stat(self, *, follow_symlinks: bool) -> PathStat:
        """Return the stat of the file or link itself. Raises OSError."""
        return simplify_stat(self.entry.stat(follow_symlinks=follow_symlinks))


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
        _check_directory(path)
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
        return wait_while_in_use(lambda: _open_file(path))

    def create_file(self, name: str) -> int:
        """Return the descriptor of a new file."""
        return os.open(self._join(name), _NEW, 0o600)

    def finish_file(self, descriptor: int, name: str, mode: int) -> PathStat:
        """Close a new file that is written and on the disk, after it got its mode and time.

        They belong to its path, and the last write must not change the time after that.
        """
        path = self._join(name)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        now = os.lstat(path).st_mtime_ns + BETWEEN_TICKS_NS
        os.utime(path, ns=(now, now))
        os.chmod(path, mode)  # noqa: PTH101
        return simplify_stat(os.lstat(path))

    def set_mode(self, name: str, mode: int) -> tuple[PathStat, PathStat]:
        """Change whether a file is read-only; return its stats before and after that."""
        path = self._join(name)
        before = simplify_stat(os.lstat(path))
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        os.chmod(path, mode)  # noqa: PTH101
        return before, simplify_stat(os.lstat(path))

    def rename(self, name: str, last: str) -> None:
        """Rename a file or link, over one that has the name, which may be open for a moment."""
        source, target = self._join(name), self._join(last)
        self._change(target, lambda: self._disk.rename(source, target))

    def remove_file(self, name: str) -> None:
        """Remove a file or link, which may be open for a moment."""
        path = self._join(name)
        self._change(path, lambda: self._disk.remove(path))

    def read_link(self, name: str) -> str:
        """Return the target of a symbolic link, with slashes as other systems have them."""
        return os.readlink(self._join(name)).replace(os.sep, "/")  # noqa: PTH115

    def write_link(self, target: str, name: str) -> None:
        """Make a symbolic link, which Windows wants to know the kind of its target of."""
        path, system_target = self._join(name), target.replace("/", os.sep)
        is_directory = os.path.isdir(self._join(system_target))  # noqa: PTH112
        os.symlink(system_target, path, target_is_directory=is_directory)  # noqa: PTH211

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
        self._check()
        return self._path + os.sep + name

    def _check(self) -> None:
        for path in self._below:
            _check_directory(path)

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
    ) -> None:
        """Take the calls that fail while a file is open elsewhere."""
        self.rename, self.remove = rename, remove

    def open_top(self, path: str) -> PathDirectory:
        """Return a directory."""
        full = os.path.realpath(path, strict=True)
        if not os.path.isdir(full):  # noqa: PTH112
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return PathDirectory(self, lengthen(full) if sys.platform == "win32" else full)

    def get_open_stat(self, descriptor: int) -> PathStat:
        """Return the stat of an open file."""
        return simplify_stat(os.fstat(descriptor))

    def open_anywhere(self, path: str) -> int:
        """Return the descriptor of a file for reading."""
        full = os.path.abspath(path)  # noqa: PTH100
        return os.open(lengthen(full) if sys.platform == "win32" else full, _FILE)

    def replace(self, temporary: Path, path: Path) -> None:
        """Rename a file of the client's own over another one, which may be open for a moment."""
        wait_while_in_use(lambda: self.rename(str(temporary), str(path)))


def lengthen(path: str) -> str:
    r"""Return a full path of Windows as one that may be long: `C:\a` as `\\?\C:\a`."""
    if path.startswith(_LONG):
        return path
    return _LONG_SHARE + path[1:] if path.startswith("\\\\") else _LONG + path


def _check_directory(path: str) -> None:
    """Raise NotADirectoryError unless a directory is at a path itself."""
    if not stat.S_ISDIR(simplify_stat(os.lstat(path)).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


def _open_file(path: str) -> int:
    """Return the descriptor of what is at a path; not of what a link leads to."""
    _check_link(os.lstat(path), path)
    descriptor = os.open(path, _FILE)
    try:
        # A link may have come in between, or another file.
        found = os.lstat(path)
        _check_link(found, path)
        is_same = os.path.samestat(os.fstat(descriptor), found)
    except BaseException:
        os.close(descriptor)
        raise
    if is_same:
        return descriptor
    os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _check_link(found: os.stat_result, path: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
