"""Files that are complete under temporary names, and get their own names together.

Before they do, they are on the disk: after a power failure, too, a path has the old or the new content,
never a part of one.
"""

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from dits.repo.v1.manifest_pb2 import File

from dits_client.checkout.durable import sync_each
from dits_client.errors import ClientError, ConflictError, os_error
from dits_client.terminal import quote_text
from dits_client.workspace.index import UNKNOWN_STAT, pack_stat
from dits_client.workspace.safe_paths import SafePaths
from dits_client.workspace.scan import make_partial_name

# Read, too: of a copy that shares blocks, what was written is checked.
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_AGAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
# Files, and their bytes, that get their names together.
MOST_FILES, MOST_BYTES = 4000, 32 << 20
# From a tick of a disk's clock to a time that is no tick.
_BETWEEN_TICKS_NS = 1_000


class DamagedError(ClientError):
    """What was written has another hash than it should have."""


class FileTarget(NamedTuple):
    """A file to write."""

    path: str
    file: File


class OverwriteGuard:
    """Prevents a checkout from overwriting a file that changed since the scan."""

    def __init__(
        self, found: Mapping[str, bytes], seen: Mapping[str, bytes], *, force: bool
    ) -> None:
        """Take the stats of the index, by path, and what the scan saw where that has none.

        `force` switches the check off.
        """
        self._found = found
        self._seen = seen
        self._force = force

    def check(self, safe_paths: SafePaths, path: str) -> None:
        """Raise ConflictError unless the path is as the scan found it."""
        if self._force:
            return
        known: bytes | None = self._found.get(path)
        if known == UNKNOWN_STAT:
            # Nothing was seen: it is left out of the folder, and has to be absent.
            known = self._seen.get(path)
        if safe_paths.get_file_stat(path) != known:
            message = f"{quote_text(path)} was changed in the meantime, or is ignored: move it away"
            raise ConflictError(message, [path])


class NewFiles:
    """The files that one thread has written, and that have no names yet."""

    def __init__(self, safe_paths: SafePaths, guard: OverwriteGuard) -> None:
        # Stats for the index, by path, of what is in its place.
        self.stats: dict[str, bytes] = {}
        self._safe_paths = safe_paths
        self._guard = guard
        # Temporary names and stats by path; None = a link.
        self._waiting: dict[str, tuple[str, os.stat_result | None]] = {}
        self._bytes = 0

    def write_file(self, target: FileTarget, write: Callable[[int], bytes]) -> None:
        """Write a file; `write` writes the content to a descriptor and returns its hash.

        Raises DamagedError, ClientError, and leaves nothing of it there.
        """
        name, above = make_partial_name(), target.path.rpartition("/")[0]
        try:
            directory = self._safe_paths.open_directory(above, create=True)
            descriptor = os.open(name, _NEW, 0o600, dir_fd=directory)
            try:
                _finish_file(descriptor, target, write(descriptor))
                self._waiting[target.path] = name, os.fstat(descriptor)
            except BaseException:
                self._discard(name, above)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _write_error(error, target.path) from error
        self._bytes += target.file.size
        if len(self._waiting) >= MOST_FILES or self._bytes >= MOST_BYTES:
            self.place()

    def write_link(self, path: str, target: str) -> None:
        """Write a symbolic link. Raises ClientError."""
        name = make_partial_name()
        try:
            directory = self._safe_paths.open_directory(path.rpartition("/")[0], create=True)
            os.symlink(target, name, dir_fd=directory)
        except OSError as error:
            raise _write_error(error, path) from error
        self._waiting[path] = name, None

    def place(self) -> None:
        """Give what was written its names, once it is on the disk.

        Raises ClientError; what has no name yet is gone then.
        """
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        path = ""
        try:
            files = [path for path, (_, written) in waiting.items() if written is not None]
            path = next(iter(files), "")
            sync_each(files, lambda path: self._open(path, waiting[path][0]), self._safe_paths.top)
            while waiting:
                path = next(iter(waiting))
                name, written = waiting[path]
                self._rename_into_place(name, path)
                del waiting[path]
                self.stats[path] = self._find_stat(path, written)
        except OSError as error:
            raise _write_error(error, path) from error
        finally:
            for left, (name, _) in waiting.items():
                self._discard(name, left.rpartition("/")[0])

    def _open(self, path: str, name: str) -> int:
        return os.open(
            name, _AGAIN, dir_fd=self._safe_paths.open_directory(path.rpartition("/")[0])
        )

    def _rename_into_place(self, name: str, path: str) -> None:
        """Rename a file or link to its path, after the check that nothing newer is there."""
        paths, above = self._safe_paths, path.rpartition("/")[0]
        last = paths.get_disk_name(path)
        try:
            self._guard.check(paths, path)
            directory = paths.open_directory(above)
            os.rename(name, last, src_dir_fd=directory, dst_dir_fd=directory)
        except IsADirectoryError:
            paths.remove_empty_directory(path)
            directory = paths.open_directory(above)
            os.rename(name, last, src_dir_fd=directory, dst_dir_fd=directory)

    def _find_stat(self, path: str, written: os.stat_result | None) -> bytes:
        """Return the stat for the index; unknown if somebody wrote to the file since it has its name."""
        directory = self._safe_paths.open_directory(path.rpartition("/")[0])
        now = os.stat(self._safe_paths.get_disk_name(path), dir_fd=directory, follow_symlinks=False)
        if written is None or _identify(written) == _identify(now):
            return pack_stat(now)
        return UNKNOWN_STAT

    def _discard(self, name: str, above: str) -> None:
        with suppress(OSError, ClientError):
            os.unlink(name, dir_fd=self._safe_paths.open_directory(above))


def _finish_file(descriptor: int, target: FileTarget, found_hash: bytes) -> None:
    if found_hash != target.file.hash:
        raise DamagedError(f"{quote_text(target.path)} was damaged on its way: try again")
    os.ftruncate(descriptor, target.file.size)
    os.fchmod(descriptor, target.file.mode)
    # The disk stamps files with a clock that ticks: a later change in the same tick would not change the
    # time, and the index would not notice it. This time is between two ticks.
    now = os.fstat(descriptor).st_mtime_ns + _BETWEEN_TICKS_NS
    os.utime(descriptor, ns=(now, now))


def _write_error(error: OSError, path: str) -> ClientError:
    """Return the sentence for a file that could not be written, with what helps if the disk is full."""
    failure = os_error(error, "write", path)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return failure
    return ClientError(
        f"{failure}: make room and repeat the command; `dits exclude PATH` leaves out what you do not need"
    )


def _identify(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size
