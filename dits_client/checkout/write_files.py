"""The files of a checkout, each written as a whole or not at all."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3
from dits.repo.v1.manifest_pb2 import File

from dits_client.errors import ClientError, ConflictError, os_error
from dits_client.progress import Stage
from dits_client.transfer.download import Downloader
from dits_client.workspace.index import UNKNOWN_STAT, pack_stat
from dits_client.workspace.safe_paths import SafePaths
from dits_client.workspace.scan import make_partial_name
from shared.formats.canonical import split_hashes

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FileTarget(NamedTuple):
    """A file to write."""

    path: str
    file: File


class OverwriteGuard:
    """Prevents a checkout from overwriting a file that changed since the scan."""

    def __init__(self, found: Mapping[str, bytes], *, force: bool) -> None:
        """Take the stats that the scan found, by path; `force` switches the check off."""
        self._found = found
        self._force = force

    def check(self, safe_paths: SafePaths, path: str) -> None:
        """Raise ConflictError unless the path is as the scan found it."""
        if self._force:
            return
        known = self._found.get(path)
        if known == UNKNOWN_STAT:
            return
        if safe_paths.get_stat(path) != known:
            message = f'"{path}" was changed in the meantime, or is ignored: move it away'
            raise ConflictError(message, [path])


class FileWriter:
    """Fetches and writes files; each thread needs its own."""

    def __init__(
        self, root: Path, downloader: Downloader, guard: OverwriteGuard, stage: Stage
    ) -> None:
        self.stats: dict[str, bytes] = {}
        self.chunks = 0
        self._downloader = downloader
        self._guard = guard
        self._stage = stage
        self._safe_paths = SafePaths(root)

    def close(self) -> None:
        """Close the open directories."""
        self._safe_paths.close()

    def write_files(self, targets: Sequence[FileTarget]) -> None:
        """Write files; their chunks are fetched in one go."""
        files = [target.file for target in targets]
        lists = list(self._downloader.fetch_chunk_lists(files))
        self.chunks += sum(map(len, lists))
        self.chunks += sum(len(split_hashes(file.recipe_hashes)) for file in files)
        contents = self._downloader.fetch_chunks([chunk for chunks in lists for chunk in chunks])
        for target, chunks in zip(targets, lists, strict=True):
            self._write_file(target, islice(contents, len(chunks)))

    def write_link(self, path: str, target: str) -> None:
        """Write a symbolic link."""
        name = make_partial_name()
        above, _, last = path.rpartition("/")
        try:
            directory = self._safe_paths.open_directory(above, create=True)
            os.symlink(target, name, dir_fd=directory)
            try:
                self._rename_into_place(name, path)
            except BaseException:
                self._discard(name, above)
                raise
            found = os.stat(last, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            raise os_error(error, "write", path) from error
        self.stats[path] = pack_stat(found)

    def _write_file(self, target: FileTarget, contents: Iterable[bytes]) -> None:
        """Write one file under a temporary name, check it, and rename it to its path."""
        name = make_partial_name()
        above = target.path.rpartition("/")[0]
        try:
            directory = self._safe_paths.open_directory(above, create=True)
            descriptor = os.open(name, _NEW, 0o600, dir_fd=directory)
            try:
                self._write_content(descriptor, target, contents)
                self._rename_into_place(name, target.path)
                self.stats[target.path] = pack_stat(os.fstat(descriptor))
            except BaseException:
                self._discard(name, above)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise os_error(error, "write", target.path) from error

    def _write_content(
        self, descriptor: int, target: FileTarget, contents: Iterable[bytes]
    ) -> None:
        whole = blake3()
        for content in contents:
            whole.update(content)
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            self._stage.advance(len(content))
        if whole.digest() != target.file.hash:
            raise ClientError(f'"{target.path}" was damaged on its way: try again')
        os.fchmod(descriptor, target.file.mode)
        # The system stamps files with a clock that ticks: a later change in the same tick would not change
        # the time, and the index would not notice it. This time is between two ticks.
        now = time.time_ns()
        os.utime(descriptor, ns=(now, now))

    def _rename_into_place(self, name: str, path: str) -> None:
        """Rename a file or link to its path, after the check that nothing newer is there."""
        self._guard.check(self._safe_paths, path)
        above, _, last = path.rpartition("/")
        directory = self._safe_paths.open_directory(above)
        os.rename(name, last, src_dir_fd=directory, dst_dir_fd=directory)

    def _discard(self, name: str, above: str) -> None:
        with suppress(OSError, ClientError):
            os.unlink(name, dir_fd=self._safe_paths.open_directory(above))
