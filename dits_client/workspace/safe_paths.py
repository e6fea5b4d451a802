"""Changes to files of a folder that can never reach a file outside of it.

Every directory is opened from its parent without following links, and every change is relative to an open
directory. So a tree with a link `a -> /etc` in one version and a file `a/passwd` in the next cannot leave
the folder, in any order of the changes.
"""

import os
import stat
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from dits_client.errors import ClientError, os_error
from dits_client.workspace.index import pack_stat, unpack_size_and_mode

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# The most directories that are kept open.
_KEPT = 64


class BlockedError(ClientError):
    """A file or link is where a directory is needed."""

    def __init__(self, path: str) -> None:
        super().__init__(f'"{path}" is not a folder, and one is needed there: move it away')
        self.path = path


class SafePaths:
    """The directories of a folder; each thread needs its own."""

    def __init__(self, root: Path) -> None:
        self._top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: OrderedDict[str, int] = OrderedDict()

    def close(self) -> None:
        """Close every directory."""
        for descriptor in (*self._open.values(), self._top):
            os.close(descriptor)
        self._open.clear()

    def open_directory(self, path: str, *, create: bool = False) -> int:
        """Return the descriptor of a directory, valid until the next call; "" is the top directory.

        Raises FileNotFoundError if it is absent and `create` is false, BlockedError if it is no directory.
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
            # For a link, some systems give ELOOP and others ENOTDIR.
            if self._is_link(above, name):
                raise BlockedError(path) from None
            raise os_error(error, "open folder", path) from error
        self._open[path] = descriptor
        if len(self._open) > _KEPT:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def get_stat(self, path: str) -> bytes | None:
        """Return the stat of a path; None = nothing is there."""
        parent, _, name = path.rpartition("/")
        try:
            above = self.open_directory(parent)
            return pack_stat(os.stat(name, dir_fd=above, follow_symlinks=False))
        except (FileNotFoundError, BlockedError):
            return None

    def has_file(self, path: str) -> bool:
        """Return whether a file or link is at a path."""
        found = self.get_stat(path)
        return found is not None and not stat.S_ISDIR(unpack_size_and_mode(found)[1])

    def remove_file(self, path: str) -> None:
        """Remove a file or link, then the directories above it that are empty."""
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
