"""Object stores: where packs lie. Objects are written once, read in ranges, and deleted."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

import structlog

from services.chunk.runtime.threads import disk_threads, in_thread
from shared.errors import dependency_unavailable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = structlog.get_logger(__name__)

_MAX_PARTS = 1024  # IOV_MAX
_FULL = (errno.ENOSPC, errno.EDQUOT)


class BlobMissing(Exception):  # noqa: N818  an outcome that is counted on
    """The store has no such object."""


class BlobWriter(Protocol):
    """An object that is being written. Nobody sees it before it is sealed."""

    async def write(self, parts: Sequence[bytes | memoryview]) -> None:
        """Appends. Raises OSError ENOSPC when the store is full."""

    async def seal(self) -> None:
        """Makes the object durable and visible; returns when it is both."""

    async def discard(self) -> None:
        """Gives the object up and frees its space; a sealed one stays."""


class BlobStore(Protocol):
    """One bucket of a store, in one region."""

    bucket: str
    region: str

    def writer(self, key: str) -> BlobWriter:
        """Begins an object, which exists from the first write on; a key is used once."""

    async def read(
        self,
        key: str,
        ranges: Sequence[tuple[int, int]],
        use: Callable[[list[memoryview]], Result],
    ) -> Result:
        """Gives the bytes at each (offset, length), fewer where there are no more, to `use`.

        `use` runs in a thread, the one that has read them if there is such. Raises BlobMissing.
        """

    async def size(self, key: str) -> int | None:
        """Bytes of a sealed object; None if there is none."""

    async def delete(self, key: str) -> None:
        """Removes an object, sealed or not; that it is gone already is success."""


class LocalStore:
    """A folder. Objects are spread over sub-folders by the first two characters of their keys."""

    def __init__(self, root: Path, bucket: str, region: str) -> None:
        self.bucket = bucket
        self.region = region
        self._root = root
        self._unsealed = root / "unsealed"
        self._threads = disk_threads()
        _make_folder(self._unsealed)

    def writer(self, key: str) -> BlobWriter:
        """See BlobStore."""
        return LocalWriter(self, self._unsealed / key, self._path(key))

    async def read(
        self,
        key: str,
        ranges: Sequence[tuple[int, int]],
        use: Callable[[list[memoryview]], Result],
    ) -> Result:
        """See BlobStore."""
        return await self.run(lambda: use(_read(self._path(key), ranges)))

    async def size(self, key: str) -> int | None:
        """See BlobStore."""
        return await self.run(_size, self._path(key))

    async def delete(self, key: str) -> None:
        """See BlobStore."""
        await self.run(_delete, self._unsealed / key, self._path(key))

    def _path(self, key: str) -> Path:
        return self._root / key[:2] / key

    async def run(
        self,
        work: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Works with files in a thread. A full disk stays an OSError, all else is an outage."""
        try:
            return await in_thread(self._threads, work, *args, **kwargs)
        except OSError as error:
            if error.errno in _FULL:
                raise
            log.exception("object store failed", bucket=self.bucket)
            raise dependency_unavailable("object store") from error


class LocalWriter:
    """A file that gets its name when it is complete and durable. One call at a time."""

    def __init__(self, store: LocalStore, unsealed: Path, path: Path) -> None:
        self._store = store
        self._unsealed = unsealed
        self._path = path
        self._file: int | None = None

    async def write(self, parts: Sequence[bytes | memoryview]) -> None:
        """See BlobWriter."""
        await self._store.run(self._write, parts)

    async def seal(self) -> None:
        """See BlobWriter."""
        await self._store.run(self._seal)

    async def discard(self) -> None:
        """See BlobWriter."""
        await self._store.run(self._discard)

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
        _make_folder(self._path.parent)
        self._unsealed.rename(self._path)
        _sync_folder(self._path.parent)

    def _discard(self) -> None:
        self._close()
        self._unsealed.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


def _read(path: Path, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise BlobMissing(path.name) from None
    try:
        parts: list[memoryview] = []
        for run in _runs(ranges):
            start, end = run[0][0], sum(run[-1])
            read = _read_range(file, start, end - start)
            if len(read) == end - start:
                parts += (read[at - start : at - start + length] for at, length in run)
            else:
                parts += (_read_range(file, at, length) for at, length in run)
        return parts
    finally:
        os.close(file)


def _runs(ranges: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Cuts (offset, length) ranges into runs in which each begins where the one before ends."""
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


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _delete(*paths: Path) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            path.unlink()
            _sync_folder(path.parent)


def _make_folder(path: Path) -> None:
    """Makes a folder and its parents, durably."""
    missing = list(itertools.takewhile(lambda folder: not folder.exists(), (path, *path.parents)))
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
