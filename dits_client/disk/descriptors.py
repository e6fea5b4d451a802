"""Directories by descriptors: no change in them can leave a folder, whoever moves what meanwhile.

A directory is opened from its parent without following links, and what is done there is relative to it.
"""

import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from operator import attrgetter
from pathlib import Path

from dits_client.disk.directory import BETWEEN_TICKS_NS
from dits_client.disk.syncing import sync_descriptor

# Type checkers pass over the rest for Windows, which has nothing of this.
assert sys.platform != "win32"  # noqa: S101

_TOP = os.O_RDONLY | os.O_DIRECTORY
_INNER = _TOP | os.O_NOFOLLOW
# It may be a pipe.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
# Read, too: of a copy that shares blocks, what was written is checked.
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

_get_name = attrgetter("name")


class DescriptorDirectory:
    """An open directory."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        """Take a descriptor, which `close` closes."""
        self._descriptor = descriptor

    def scan(self) -> Sequence[os.DirEntry[str]]:
        """Return the entries, sorted by name."""
        with os.scandir(self._descriptor) as found:
            return sorted(found, key=_get_name)

    def get_stat(self, name: str) -> os.stat_result:
        """Return the stat of an entry."""
        return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)

    def enter(self, name: str) -> "DescriptorDirectory":
        """Return a directory in it."""
        try:
            return DescriptorDirectory(os.open(name, _INNER, dir_fd=self._descriptor))
        except FileNotFoundError:
            raise
        except OSError as error:
            # For a link, some systems give ELOOP and others ENOTDIR.
            with suppress(OSError):
                if stat.S_ISLNK(self.get_stat(name).st_mode):
                    raise NotADirectoryError(error.errno, error.strerror, name) from None
            raise

    def make(self, name: str) -> None:
        """Make a directory in it."""
        os.mkdir(name, dir_fd=self._descriptor)

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory in it."""
        os.rmdir(name, dir_fd=self._descriptor)

    def open_file(self, name: str) -> int:
        """Return the descriptor of a file for reading."""
        return os.open(name, _FILE, dir_fd=self._descriptor)

    def create_file(self, name: str) -> int:
        """Return the descriptor of a new file."""
        return os.open(name, _NEW, 0o600, dir_fd=self._descriptor)

    def finish_file(self, descriptor: int, name: str, mode: int) -> os.stat_result:  # noqa: ARG002
        """Close a new file that is written, after it got its mode and a time between two ticks."""
        try:
            os.fchmod(descriptor, mode)
            now = os.fstat(descriptor).st_mtime_ns + BETWEEN_TICKS_NS
            os.utime(descriptor, ns=(now, now))
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def set_mode(self, name: str, mode: int) -> tuple[os.stat_result, os.stat_result]:
        """Change the mode of a file; return its stats before and after that."""
        descriptor = self.open_file(name)
        try:
            before = os.fstat(descriptor)
            os.fchmod(descriptor, mode)
            return before, os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, name: str, last: str) -> None:
        """Rename a file or link, over one that has the name."""
        os.rename(name, last, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove_file(self, name: str) -> None:
        """Remove a file or link."""
        os.unlink(name, dir_fd=self._descriptor)

    def is_in_use(self, name: str) -> bool:  # noqa: ARG002
        """Return that no program keeps a file from being replaced or removed."""
        return False

    def read_link(self, name: str) -> str:
        """Return the target of a symbolic link."""
        return os.readlink(name, dir_fd=self._descriptor)

    def write_link(self, target: str, name: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, name, dir_fd=self._descriptor)

    def is_current(self) -> bool:
        """Return whether it is the current directory of the process; not if that is gone."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), Path().stat())
        except OSError:
            return False

    def sync(self) -> None:
        """Return when its entries are on the disk."""
        sync_descriptor(self._descriptor)

    def sync_file_system(self) -> None:
        """Return when all that its file system has to write is on the disk."""
        sync = _find_syncfs()
        if sync is None:
            os.sync()
            sync_descriptor(self._descriptor)
        elif sync(self._descriptor) != 0:
            import ctypes

            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class DescriptorDisk:
    """Linux, macOS and other systems of their kind."""

    keeps_modes = True
    has_inodes = True
    replaces_open_files = True

    def open_top(self, path: str) -> DescriptorDirectory:
        """Return a directory."""
        return DescriptorDirectory(os.open(path, _TOP))

    def get_open_stat(self, descriptor: int) -> os.stat_result:
        """Return the stat of an open file."""
        return os.fstat(descriptor)

    def open_anywhere(self, path: str) -> int:
        """Return the descriptor of a file for reading."""
        return os.open(path, _FILE)

    def can_write_links(self, own: Path) -> bool:  # noqa: ARG002
        """Return that symbolic links can be made."""
        return True

    def replace(self, temporary: Path, path: Path) -> None:
        """Rename a file of the client's own over another one."""
        temporary.replace(path)


@cache
def _find_syncfs() -> Callable[[int], int] | None:
    """Return the call of Linux for one file system; None = there is only that for all of them."""
    if sys.platform != "linux":
        return None
    # Python has no name for it.
    import ctypes

    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return found
