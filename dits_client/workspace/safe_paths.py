"""Changes to files of a folder that can never reach a file outside of it.

Every directory is entered from its parent without following links, and every change is made in one. So a
tree with a link `a -> /etc` in one version and a file `a/passwd` in the next cannot leave the folder, in
any order of the changes.
"""

import stat
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dits_client.disk.directory import Directory, remove_empty_tree
from dits_client.disk.disks import get_disk
from dits_client.errors import ClientError, os_error
from dits_client.terminal import quote_text
from dits_client.workspace.index import pack_stat, unpack_size_and_mode

# The most directories that are kept open.
_KEPT = 64


class BlockedError(ClientError):
    """A file or link is where a directory is needed."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{quote_text(path)} is not a folder, and one is needed there: move it away"
        )
        self.path = path


class SafePaths:
    """The directories of a folder; each thread needs its own."""

    def __init__(self, root: Path, disk_names: Mapping[str, str] | None = None) -> None:
        """Take the top directory, and by path the names on the disk that are not in NFC."""
        try:
            self._top = get_disk().open_top(str(root))
        except OSError as error:
            raise os_error(error, "open folder", str(root)) from error
        self._open: OrderedDict[str, Directory] = OrderedDict()
        self._disk_names = {} if disk_names is None else disk_names

    @property
    def top(self) -> Directory:
        """The top directory."""
        return self._top

    def has_directory(self, path: str) -> bool:
        """Return whether a directory is at a path, without links on the way."""
        try:
            self.open_directory(path)
        except (FileNotFoundError, BlockedError):
            return False
        return True

    def close(self) -> None:
        """Close every directory."""
        for directory in (*self._open.values(), self._top):
            directory.close()
        self._open.clear()

    def get_disk_name(self, path: str) -> str:
        """Return the name that a path has on the disk, in its directory."""
        return self._disk_names.get(path) or path.rpartition("/")[2]

    def open_directory(self, path: str, *, create: bool = False) -> Directory:
        """Return a directory, valid until the next call; "" is the top directory.

        Raises FileNotFoundError if it is absent and `create` is false, BlockedError if it is no directory.
        """
        if not path:
            return self._top
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        parent, name = path.rpartition("/")[0], self.get_disk_name(path)
        above = self.open_directory(parent, create=create)
        try:
            directory = _enter_directory(above, name, create=create)
        except FileNotFoundError:
            raise
        except NotADirectoryError:
            raise BlockedError(path) from None
        except OSError as error:
            raise os_error(error, "open folder", path) from error
        self._open[path] = directory
        if len(self._open) > _KEPT:
            self._open.popitem(last=False)[1].close()
        return directory

    def get_stat(self, path: str) -> bytes | None:
        """Return the stat of a path; None = nothing is there."""
        parent, name = path.rpartition("/")[0], self.get_disk_name(path)
        try:
            above = self.open_directory(parent)
            return pack_stat(above.get_stat(name))
        except (FileNotFoundError, NotADirectoryError, BlockedError):
            return None

    def get_file_stat(self, path: str) -> bytes | None:
        """Return the stat of a file or link; None = nothing is there, or a directory."""
        found = self.get_stat(path)
        if found is None or stat.S_ISDIR(unpack_size_and_mode(found)[1]):
            return None
        return found

    def remove_file(self, path: str) -> None:
        """Remove a file or link, then the directories above it that are empty.

        The current directory of the process stays: the user would stand nowhere.
        """
        parent = path.rpartition("/")[0]
        try:
            self.open_directory(parent).remove_file(self.get_disk_name(path))
        except (FileNotFoundError, NotADirectoryError, BlockedError):
            return
        except OSError as error:
            raise os_error(error, "remove", path) from error
        while parent:
            above = parent.rpartition("/")[0]
            try:
                if self.open_directory(parent).is_current():
                    return
                self._open.pop(parent).close()
                self.open_directory(above).remove_directory(self.get_disk_name(parent))
            except (OSError, BlockedError):
                return
            parent = above

    def remove_empty_directory(self, path: str) -> None:
        """Remove a directory and those in it, which must all be empty. Raises OSError."""
        for inner in [place for place in self._open if f"{place}/".startswith(f"{path}/")]:
            self._open.pop(inner).close()
        remove_empty_tree(self.open_directory(path.rpartition("/")[0]), self.get_disk_name(path))


def _enter_directory(above: Directory, name: str, *, create: bool) -> Directory:
    try:
        return above.enter(name)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        above.make(name)
    return above.enter(name)
