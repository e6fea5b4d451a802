"""Files of a folder, opened without following a link that leads out of it."""

import errno
import os

from dits_client.disk.directory import Directory
from dits_client.disk.disks import get_disk


class FileOpener:
    """Opens files for reading, and keeps the last directory open; each thread needs its own."""

    def __init__(self) -> None:
        self._place = "", ""
        self._directory: Directory | None = None

    def open_file(self, path: str, top: str = "") -> int:
        """Return the descriptor of a file, which may be a pipe; its last name is no link.

        Below `top`, a start of the path, the others are none either; empty = they may be. Raises
        FileNotFoundError also where a link or a file is in the place of a directory, OSError.
        """
        if not top:
            return get_disk().open_anywhere(path)
        directory, name = self.enter(path, top)
        try:
            return directory.open_file(name)
        except NotADirectoryError:
            raise _gone_error(path) from None

    def enter(self, path: str, top: str) -> tuple[Directory, str]:
        """Return the directory of a path, valid until the next call, and its name."""
        above, _, name = path.rpartition("/")
        if self._directory is None or self._place != (above, top):
            self.close()
            self._directory = _open_directory(above, top)
            self._place = above, top
        return self._directory, name

    def close(self) -> None:
        """Close the directory."""
        if self._directory is not None:
            self._directory.close()
            self._directory = None


def _open_directory(path: str, top: str) -> Directory:
    directory = get_disk().open_top(top)
    for part in path[len(top) :].split("/"):
        if not part:
            continue
        above = directory
        try:
            directory = above.enter(part)
        except NotADirectoryError:
            raise _gone_error(path) from None
        finally:
            above.close()
    return directory


def _gone_error(path: str) -> FileNotFoundError:
    """Return the error for a path that leads through what is no directory any more."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
