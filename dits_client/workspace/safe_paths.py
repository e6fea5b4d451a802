"""Changing files below a folder without ever leaving it.

Every directory is opened from its parent without following links, and every change is made relative to an
open directory. So a tree that brings a link `a -> /etc` in one version and a file `a/passwd` in the next
finds no way out, whatever the order of the changes.
"""

import os
import stat
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from dits_client.errors import ClientError, os_error
from dits_client.workspace.index import pack_stat

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Directories kept open; a deep tree has no more levels that matter.
_KEPT = 64


class BlockedError(ClientError):
    """Something that is no directory stands where one is needed."""

    def __init__(self, path: str) -> None:
        super().__init__(f'"{path}" is not a folder, and one is needed there: move it away')
        self.path = path


class SafePaths:
    """The directories below a folder; not to be shared between threads."""

    def __init__(self, root: Path) -> None:
        self._top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: OrderedDict[str, int] = OrderedDict()

    def close(self) -> None:
        """Close every directory."""
        for descriptor in (*self._open.values(), self._top):
            os.close(descriptor)
        self._open.clear()

    def open_directory(self, path: str, *, create: bool = False) -> int:
        """Return an open directory, valid until the next call; "" is the top.

        Raises FileNotFoundError if it is not there and not to be made, BlockedError if it is none.
        """
        if not path:
            return self._top
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        parent, _, name = path.rpartition("/")
        above = self.open_directory(parent, create=create)
        try:
            descriptor = self._enter_directory(above, name, create)
        except FileNotFoundError:
            raise
        except NotADirectoryError:
            raise BlockedError(path) from None
        except OSError as error:
            # A link gives ELOOP or ENOTDIR, as the system likes.
            if self._is_link(above, name):
                raise BlockedError(path) from None
            raise os_error(error, "open folder", path) from error
        self._open[path] = descriptor
        if len(self._open) > _KEPT:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def get_stat(self, path: str) -> bytes | None:
        """Return the stat of a path; None = there is nothing."""
        parent, _, name = path.rpartition("/")
        try:
            above = self.open_directory(parent)
            return pack_stat(os.stat(name, dir_fd=above, follow_symlinks=False))
        except (FileNotFoundError, BlockedError):
            return None

    def remove_file(self, path: str) -> None:
        """Remove a file or link, and the directories above that are empty then."""
        parent, _, name = path.rpartition("/")
        try:
            os.unlink(name, dir_fd=self.open_directory(parent))
        except (FileNotFoundError, BlockedError):
            return
        except OSError as error:
            raise os_error(error, "remove", path) from error
        while parent:
            above, _, name = parent.rpartition("/")
            if (descriptor := self._open.pop(parent, None)) is not None:
                os.close(descriptor)
            try:
                os.rmdir(name, dir_fd=self.open_directory(above))
            except OSError:
                return
            parent = above

    @staticmethod
    def _enter_directory(above: int, name: str, create: bool) -> int:
        try:
            return os.open(name, _OPEN, dir_fd=above)
        except FileNotFoundError:
            if not create:
                raise
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
        return os.open(name, _OPEN, dir_fd=above)

    @staticmethod
    def _is_link(above: int, name: str) -> bool:
        with suppress(OSError):
            return stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
        return False
