"""The object store in a directory of this machine."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog

from services.chunk.runtime.threads import make_disk_threads, run_in_thread
from services.chunk.stores.blob_store import BlobMissing, BlobWriter
from shared.errors import dependency_unavailable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = structlog.get_logger(__name__)

_KEY = re.compile("([0-9]+)/([0-9a-z]{2,128})")
_MAX_PARTS = 1024  # IOV_MAX
_FULL = (errno.ENOSPC, errno.EDQUOT)


class LocalStore:
    """A bucket in a directory.

    The object `0/abcdef` is the file `0/ab/abcdef`, and `unsealed/0-abcdef` until it is sealed.
    """

    def __init__(self, root: Path, bucket: str, region: str) -> None:
        self.bucket = bucket
        self.region = region
        self._root = root
        self._unsealed = root / "unsealed"
        self._threads = make_disk_threads()
        _make_directory(self._unsealed)

    def open_writer(self, key: str) -> BlobWriter:
        """See BlobStore."""
        return LocalWriter(self, *self._paths(key))

    async def read_ranges(
        self,
        key: str,
        ranges: Sequence[tuple[int, int]],
        use: Callable[[list[memoryview]], Result],
    ) -> Result:
        """See BlobStore."""
        _, sealed = self._paths(key)
        return await self.run_file_work(lambda: use(_read_file(sealed, ranges)))

    async def measure_object(self, key: str) -> int | None:
        """See BlobStore."""
        _, sealed = self._paths(key)
        return await self.run_file_work(_measure_file, sealed)

    async def delete_object(self, key: str) -> None:
        """See BlobStore."""
        await self.run_file_work(_delete_files, *self._paths(key))

    async def run_file_work(
        self,
        work: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Returns what `work` returns in a thread. Raises OSError if the disk is full, else an outage."""
        try:
            return await run_in_thread(self._threads, work, *args, **kwargs)
        except OSError as error:
            if error.errno in _FULL:
                raise
            log.exception("object store failed", bucket=self.bucket)
            raise dependency_unavailable("object store") from error

    def _paths(self, key: str) -> tuple[Path, Path]:
        """Returns where an object lies before and after it is sealed, both within the root."""
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"{key!r} is not the key of an object")
        cell, name = match.groups()
        return self._unsealed / f"{cell}-{name}", self._root / cell / name[:2] / name


class LocalWriter:
    """A file that gets its name when it is complete and durable. One call at a time."""

    def __init__(self, store: LocalStore, unsealed: Path, sealed: Path) -> None:
        self._store = store
        self._unsealed = unsealed
        self._sealed = sealed
        self._file: int | None = None

    async def write_parts(self, parts: Sequence[bytes | memoryview]) -> None:
        """See BlobWriter."""
        await self._store.run_file_work(self._write, parts)

    async def seal(self) -> None:
        """See BlobWriter."""
        await self._store.run_file_work(self._seal)

    async def discard(self) -> None:
        """See BlobWriter."""
        await self._store.run_file_work(self._discard)

    def _open(self) -> int:
        if self._file is None:
            self._file = os.open(self._unsealed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        return self._file

    def _write(self, parts: Sequence[bytes | memoryview]) -> None:
        file = self._open()
        for start in range(0, len(parts), _MAX_PARTS):
            some = parts[start : start + _MAX_PARTS]
            written = os.writev(file, some)
            if written < sum(map(len, some)):
                # Rare: the disk is about to be full, and the next attempt says so.
                rest = memoryview(b"".join(some))[written:]
                while rest:
                    rest = rest[os.write(file, rest) :]

    def _seal(self) -> None:
        os.fsync(self._open())
        self._close()
        _make_directory(self._sealed.parent)
        self._unsealed.rename(self._sealed)
        _sync_directory(self._sealed.parent)

    def _discard(self) -> None:
        self._close()
        self._unsealed.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


def _read_file(path: Path, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise BlobMissing(path.name) from None
    try:
        parts: list[memoryview] = []
        for run in _join_ranges(ranges):
            start, end = run[0][0], sum(run[-1])
            read = _read_range(file, start, end - start)
            if len(read) == end - start:
                parts += (read[at - start : at - start + length] for at, length in run)
            else:
                parts += (_read_range(file, at, length) for at, length in run)
        return parts
    finally:
        os.close(file)


def _join_ranges(ranges: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Yields runs of (offset, length) ranges in which each begins where the one before ends."""
    run: list[tuple[int, int]] = []
    for item in ranges:
        if run and item[0] != sum(run[-1]):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _read_range(file: int, offset: int, length: int) -> memoryview:
    try:
        return memoryview(os.pread(file, length, offset))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # What is not there fails the verification, and the other chunks of the request are sent.
        return memoryview(b"")


def _measure_file(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _delete_files(*paths: Path) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            path.unlink()
            _sync_directory(path.parent)


def _make_directory(path: Path) -> None:
    """Makes a directory and its parents, durably."""
    missing = list(itertools.takewhile(lambda parent: not parent.exists(), (path, *path.parents)))
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        _sync_directory(parent.parent)


def _sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
