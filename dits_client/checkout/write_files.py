"""The files of a checkout, each written as a whole or not at all."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import NamedTuple

from blake3 import blake3
from dits.repo.v1.manifest_pb2 import File

from dits_client.checkout.local_copy import copy_content
from dits_client.checkout.sparse import write_sparsely
from dits_client.content.chunking import ChunkRef
from dits_client.errors import ClientError, ConflictError, os_error
from dits_client.progress import Stage
from dits_client.transfer.download import Downloader
from dits_client.transfer.lost_content import LostChunkError
from dits_client.workspace.index import UNKNOWN_STAT, pack_stat
from dits_client.workspace.safe_paths import SafePaths
from dits_client.workspace.scan import make_partial_name
from shared.formats.canonical import split_hashes

# Read, too: of a copy that shares blocks, what was written is checked.
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# It may be a pipe now.
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
            message = f'"{path}" was changed in the meantime, or is ignored: move it away'
            raise ConflictError(message, [path])


class FileWriter:
    """Fetches and writes files; each thread needs its own."""

    def __init__(
        self, safe_paths: SafePaths, downloader: Downloader, guard: OverwriteGuard, stage: Stage
    ) -> None:
        """Take the paths, which `close` closes."""
        self.stats: dict[str, bytes] = {}
        self.chunks = 0
        # Files that the server cannot deliver: its reasons by path.
        self.lost: dict[str, str] = {}
        self._downloader = downloader
        self._guard = guard
        self._stage = stage
        self._safe_paths = safe_paths

    def close(self) -> None:
        """Close the open directories."""
        self._safe_paths.close()

    def write_files(self, targets: Sequence[FileTarget]) -> None:
        """Write files; their chunks are fetched in one go. Those that are lost are noted."""
        lists: dict[str, list[ChunkRef]] = {}

        def read_lists(left: Sequence[FileTarget]) -> Iterator[None]:
            found = self._downloader.fetch_chunk_lists([target.file for target in left])
            for target, chunks in zip(left, found, strict=True):
                lists[target.path] = chunks
                yield

        def write(left: Sequence[FileTarget]) -> Iterator[None]:
            wanted = [chunk for target in left for chunk in lists[target.path]]
            contents = self._downloader.fetch_chunks(wanted)
            for target in left:
                mine = islice(contents, len(lists[target.path]))
                self._write_file(target, partial(self._write_chunks, contents=mine))
                yield

        self._do_each(targets, read_lists, _list_recipes)
        known = [target for target in targets if target.path in lists]
        self.chunks += sum(len(lists[target.path]) + len(_list_recipes(target)) for target in known)
        self._do_each(known, write, lambda target: [chunk.hash for chunk in lists[target.path]])

    def _do_each(
        self,
        targets: Sequence[FileTarget],
        do: Callable[[Sequence[FileTarget]], Iterator[None]],
        list_hashes: Callable[[FileTarget], Iterable[bytes]],
    ) -> None:
        """Do something with files, one after the other; go on behind one whose chunks are lost.

        `do` yields after each file that is done; the next start leaves out what is known to be lost.
        """
        left = list(targets)
        while left:
            done = 0
            try:
                for _ in do(left):
                    done += 1
            except LostChunkError as error:
                self.lost[left[done].path] = error.reason
            # Nothing, if all were done.
            rest, left = left[done + 1 :], []
            for target in rest:
                reasons = map(self._downloader.lost.get, list_hashes(target))
                reason = next((found for found in reasons if found is not None), None)
                if reason is None:
                    left.append(target)
                else:
                    self.lost[target.path] = reason

    def copy_file(self, target: FileTarget, source: str) -> None:
        """Write a file that is equal to one of the folder; it is fetched if that has changed meanwhile."""
        advanced = 0

        def advance(count: int) -> None:
            nonlocal advanced
            advanced += count
            self._stage.advance(count)

        try:
            above = self._safe_paths.open_directory(source.rpartition("/")[0])
            name = self._safe_paths.get_disk_name(source)
            descriptor = os.open(name, _SOURCE, dir_fd=above)
        except (OSError, ClientError):
            self.write_files([target])
            return
        try:
            self._write_file(target, lambda new: copy_content(descriptor, new, advance))
        except DamagedError:
            self._stage.advance(-advanced)
            self.write_files([target])
        finally:
            os.close(descriptor)

    def write_link(self, path: str, target: str) -> None:
        """Write a symbolic link."""
        name = make_partial_name()
        above = path.rpartition("/")[0]
        try:
            directory = self._safe_paths.open_directory(above, create=True)
            os.symlink(target, name, dir_fd=directory)
            try:
                self._rename_into_place(name, path)
            except BaseException:
                self._discard(name, above)
                raise
            last = self._safe_paths.get_disk_name(path)
            found = os.stat(last, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            raise os_error(error, "write", path) from error
        self.stats[path] = pack_stat(found)

    def _write_file(self, target: FileTarget, write: Callable[[int], bytes]) -> None:
        """Write one file under a temporary name, check it, and rename it to its path.

        `write` writes the content to a descriptor and returns its hash.
        """
        name = make_partial_name()
        above = target.path.rpartition("/")[0]
        try:
            directory = self._safe_paths.open_directory(above, create=True)
            descriptor = os.open(name, _NEW, 0o600, dir_fd=directory)
            try:
                self._finish_file(descriptor, target, write(descriptor))
                written = os.fstat(descriptor)
                self._rename_into_place(name, target.path)
                self.stats[target.path] = _pack_unchanged(written, os.fstat(descriptor))
            except BaseException:
                self._discard(name, above)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise os_error(error, "write", target.path) from error

    def _write_chunks(self, descriptor: int, contents: Iterable[bytes]) -> bytes:
        whole = blake3()
        for content in contents:
            whole.update(content)
            write_sparsely(descriptor, content)
            self._stage.advance(len(content))
        return whole.digest()

    @staticmethod
    def _finish_file(descriptor: int, target: FileTarget, found_hash: bytes) -> None:
        if found_hash != target.file.hash:
            raise DamagedError(f'"{target.path}" was damaged on its way: try again')
        os.ftruncate(descriptor, target.file.size)
        os.fchmod(descriptor, target.file.mode)
        # The system stamps files with a clock that ticks: a later change in the same tick would not change
        # the time, and the index would not notice it. This time is between two ticks.
        now = time.time_ns()
        os.utime(descriptor, ns=(now, now))

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

    def _discard(self, name: str, above: str) -> None:
        with suppress(OSError, ClientError):
            os.unlink(name, dir_fd=self._safe_paths.open_directory(above))


def _list_recipes(target: FileTarget) -> list[bytes]:
    return split_hashes(target.file.recipe_hashes)


def _pack_unchanged(written: os.stat_result, now: os.stat_result) -> bytes:
    """Return the stat of a file for the index; unknown if somebody wrote to it since it has its name."""
    is_same = (written.st_mtime_ns, written.st_size) == (now.st_mtime_ns, now.st_size)
    return pack_stat(now) if is_same else UNKNOWN_STAT
