"""Files that are complete under temporary names, and get their own names together.

Before they do, they are on the disk: after a power failure, too, a path has the old or the new content,
never a part of one.
"""

import errno
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

from dits.repo.v1.manifest_pb2 import File

from dits_client.checkout.durable import sync_files
from dits_client.checkout.sparse import BLOCK
from dits_client.disk.directory import FileStat
from dits_client.disk.disks import get_disk
from dits_client.errors import ClientError, ConflictError, os_error
from dits_client.terminal import quote_text
from dits_client.workspace.index import UNKNOWN_STAT, pack_stat
from dits_client.workspace.safe_paths import SafePaths
from dits_client.workspace.scan import make_partial_name

# Files, and their bytes, that get their names together.
MOST_FILES, MOST_BYTES = 4000, 32 << 20


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
        self._waiting: dict[str, tuple[str, FileStat | None]] = {}
        self._bytes = 0

    def write_file(self, target: FileTarget, write: Callable[[int], bytes]) -> None:
        """Write a file; `write` writes the content to a descriptor and returns its hash.

        Raises DamagedError, ClientError, and leaves nothing of it there.
        """
        name, above = make_partial_name(), target.path.rpartition("/")[0]
        try:
            directory = self._safe_paths.open_directory(above, create=True)
            descriptor = directory.create_file(name)
            try:
                found_hash = _write_content(descriptor, target, write)
                # It may have taken hours, and other directories were used meanwhile.
                directory = self._safe_paths.open_directory(above)
                written = directory.finish_file(descriptor, name, target.file.mode)
                _check_hash(target, found_hash)
            except BaseException:
                self._discard(name, above)
                raise
            self._waiting[target.path] = name, written
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
            directory.write_link(target, name)
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
            self._sync(files, waiting)
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

    def _sync(
        self, files: Collection[str], waiting: Mapping[str, tuple[str, FileStat | None]]
    ) -> None:
        if get_disk().replaces_open_files:
            paths = self._safe_paths
            sync_files(
                files,
                lambda path: paths.open_directory(path.rpartition("/")[0]).open_file(
                    waiting[path][0]
                ),
                paths.top,
            )

    def _rename_into_place(self, name: str, path: str) -> None:
        """Rename a file or link to its path, after the check that nothing newer is there."""
        paths, above = self._safe_paths, path.rpartition("/")[0]
        last = paths.get_disk_name(path)
        try:
            self._guard.check(paths, path)
            paths.open_directory(above).rename(name, last)
        except IsADirectoryError:
            paths.remove_empty_directory(path)
            paths.open_directory(above).rename(name, last)

    def _find_stat(self, path: str, written: FileStat | None) -> bytes:
        """Return the stat for the index; unknown if somebody wrote to the file since it has its name."""
        directory = self._safe_paths.open_directory(path.rpartition("/")[0])
        now = directory.get_stat(self._safe_paths.get_disk_name(path))
        if written is None or _identify(written) == _identify(now):
            return pack_stat(now)
        return UNKNOWN_STAT

    def _discard(self, name: str, above: str) -> None:
        with suppress(OSError, ClientError):
            self._safe_paths.open_directory(above).remove_file(name)


def _write_content(descriptor: int, target: FileTarget, write: Callable[[int], bytes]) -> bytes:
    """Write a file, which is closed after a failure; return the hash of what was written."""
    try:
        found_hash = write(descriptor)
        if target.file.size >= BLOCK:
            # A hole at the end is not written; a smaller file has none.
            os.ftruncate(descriptor, target.file.size)
    except BaseException:
        os.close(descriptor)
        raise
    return found_hash


def _check_hash(target: FileTarget, found_hash: bytes) -> None:
    if found_hash != target.file.hash:
        raise DamagedError(f"{quote_text(target.path)} was damaged on its way: try again")


def _write_error(error: OSError, path: str) -> ClientError:
    """Return the sentence for a file that could not be written, with what helps if the disk is full."""
    failure = os_error(error, "write", path)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return failure
    return ClientError(
        f"{failure}: make room and repeat the command; `dits exclude PATH` leaves out what you do not need"
    )


def _identify(found: FileStat) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size
