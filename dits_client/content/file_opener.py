"""Files of a folder, opened without following a link that leads out of it."""

import errno
import os

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# What an open of a link or of a file says that is expected to be a directory.
_NO_DIRECTORY = (errno.ELOOP, errno.ENOTDIR)


class FileOpener:
    """Opens files for reading, and keeps the last directory open; each thread needs its own."""

    def __init__(self) -> None:
        self._place: tuple[str, str] | None = None
        self._directory = -1

    def open_file(self, path: str, top: str = "") -> int:
        """Return the descriptor of a file, which may be a pipe; its last name is no link.

        Below `top`, a start of the path, the others are none either; empty = they may be. Raises
        FileNotFoundError also where a link or a file is in the place of a directory, OSError.
        """
        if not top:
            return os.open(path, _FILE)
        directory, name = self.enter(path, top)
        return os.open(name, _FILE, dir_fd=directory)

    def enter(self, path: str, top: str) -> tuple[int, str]:
        """Return the descriptor of the directory of a path, valid until the next call, and its name."""
        above, _, name = path.rpartition("/")
        if self._place != (above, top):
            self.close()
            self._directory = _open_directory(above, top)
            self._place = above, top
        return self._directory, name

    def close(self) -> None:
        """Close the directory."""
        if self._place is not None:
            os.close(self._directory)
            self._place = None


def _open_directory(path: str, top: str) -> int:
    descriptor = os.open(top, _DIRECTORY)
    for part in path[len(top) :].split("/"):
        if not part:
            continue
        above = descriptor
        try:
            descriptor = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        except OSError as error:
            if error.errno in _NO_DIRECTORY:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
            raise
        finally:
            os.close(above)
    return descriptor
