"""Looks at what is at a path, before and after it is used."""

import errno
import os
import stat
import sys
from typing import NamedTuple

# Of Windows: bytes as they are. Of the others, where tests run: no link at the end, and no wait for a pipe.
BINARY = getattr(os, "O_BINARY", 0)
_FILE = os.O_RDONLY | BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# Of the tag of a reparse point: it is another name for something elsewhere, as junctions are.
_NAME_SURROGATE = 0x20000000
# Modes as a new file has them on other systems; Windows keeps whether the owner may write.
_WRITABLE, _READ_ONLY = 0o644, 0o444


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


def check_directory(path: str) -> None:
    """Raise NotADirectoryError unless a directory is at a path itself."""
    if not stat.S_ISDIR(simplify_stat(os.lstat(path)).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


def open_plainly(path: str) -> int:
    """Return the descriptor of a file for reading; others may rename and remove it meanwhile."""
    if sys.platform == "win32":
        # It takes a while to load.
        from dits_client.disk.shared_files import open_shared

        return open_shared(path)
    return os.open(path, _FILE)


def is_kept_open(path: str) -> bool:
    """Return whether a program keeps a file from being replaced or removed, as on Windows alone."""
    if sys.platform == "win32":
        from dits_client.disk.shared_files import is_kept_open_at

        return is_kept_open_at(path)
    return False


def open_checked_file(path: str) -> int:
    """Return the descriptor of what is at a path; not of what a link leads to."""
    _check_link(os.lstat(path), path)
    descriptor = open_plainly(path)
    try:
        # A link may have come in between, or another file.
        found = os.lstat(path)
        _check_link(found, path)
        is_same = _are_same(os.fstat(descriptor), found)
    except BaseException:
        os.close(descriptor)
        raise
    if is_same:
        return descriptor
    os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _are_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether stats are of one file; not every disk has numbers of files that stay."""
    return os.path.samestat(one, other) or simplify_stat(one) == simplify_stat(other)


def _check_link(found: os.stat_result, path: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
