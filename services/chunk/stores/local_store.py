"""The object store in a directory of this machine."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog

from services.chunk.runtime.threads import make_disk_threads, run_in_thread
from services.chunk.stores.blob_store import (
    ID_NAME,
    BlobMissing,
    BlobWriter,
    is_key,
    owner_name,
    split_key,
)
from services.chunk.stores.files import (
    create_file,
    list_names,
    make_directory,
    read_file_ranges,
    replace_file,
    sync_directory,
)
from services.chunk.stores.local_writer import LocalWriter
from services.chunk.stores.page_cache import ReadPages
from services.chunk.stores.plain_store import PlainStore
from shared.errors import dependency_unavailable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = structlog.get_logger(__name__)

# Keys that are listed together, at least: as many as S3 lists at once.
_PAGE = 1000
_FULL = (errno.ENOSPC, errno.EDQUOT)


class LocalStore(PlainStore):
    """A bucket in a directory.

    The object `0/abcdef` is the file `0/ab/abcdef`, and `unsealed/0-abcdef` until it is sealed. A directory
    without the file `dits-store`, which holds the id of the store, is not the store: what should be mounted
    there is away, and nothing in it missing.
    """

    def __init__(
        self, root: Path, bucket: str, region: str, storage_class: str = "standard"
    ) -> None:
        self.bucket = bucket
        self.region = region
        self.storage_class = storage_class
        self.location = str(root.absolute())
        self.expected_id: str | None = None
        self._root = root
        self._unsealed = root / "unsealed"
        self._threads = make_disk_threads()
        self._read_pages = ReadPages()

    def is_there(self) -> bool:
        """Returns whether there is a directory at all."""
        return self._root.is_dir()

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
        return await self.run_file_work(lambda: use(self._read(sealed, ranges)))

    async def measure_object(self, key: str) -> int | None:
        """See BlobStore."""
        _, sealed = self._paths(key)
        return await self.run_file_work(self._measure, sealed)

    async def find_time(self, key: str) -> float | None:
        """See BlobStore. Its clock is this machine's, or that of the server that the directory lies on."""
        _, sealed = self._paths(key)
        return await self.run_file_work(lambda: sealed.stat().st_mtime if sealed.exists() else None)

    async def list_objects(self, cell: int) -> AsyncGenerator[list[str], None]:
        """See BlobStore."""
        await self.run_file_work(self.require_store)
        names = await self.run_file_work(list_names, self._unsealed)
        keys = (name.replace("-", "/", 1) for name in names)
        found = [key for key in keys if key.startswith(f"{cell}/") and is_key(key)]
        root = self._root / str(cell)
        for directory in await self.run_file_work(list_names, root):
            names = await self.run_file_work(list_names, root / directory)
            found += [f"{cell}/{name}" for name in names if is_key(f"{cell}/{name}")]
            if len(found) >= _PAGE:
                yield found
                found = []
        if found:
            yield found

    async def delete_object(self, key: str) -> None:
        """See BlobStore."""
        await self.run_file_work(self._delete, *self._paths(key))

    async def read_id(self) -> str | None:
        """See BlobStore."""
        return await self.run_file_work(_read_text, self._root / ID_NAME)

    async def create(self, store_id: str) -> str:
        """See BlobStore."""
        return await self.run_file_work(self._create, store_id)

    async def read_owner(self, cell: int) -> str | None:
        """See BlobStore."""

        def read() -> str | None:
            self.require_store()
            return _read_text(self._root / owner_name(cell))

        return await self.run_file_work(read)

    async def write_owner(self, cell: int, text: str, *, is_first: bool) -> None:
        """See BlobStore."""

        def write() -> None:
            self.require_store()
            (create_file if is_first else replace_file)(self._root / owner_name(cell), f"{text}\n")

        await self.run_file_work(write)

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

    def _read(self, path: Path, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        try:
            return read_file_ranges(path, ranges, partial(self._read_pages.drop, path.name))
        except FileNotFoundError:
            self.require_store()
            raise BlobMissing(path.name) from None

    def _measure(self, path: Path) -> int | None:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            self.require_store()
            return None

    def _delete(self, *paths: Path) -> None:
        self.require_store()
        for path in paths:
            with suppress(FileNotFoundError):
                path.unlink()
                sync_directory(path.parent)

    def _create(self, store_id: str) -> str:
        make_directory(self._unsealed)
        create_file(self._root / ID_NAME, f"{store_id}\n")
        return _read_text(self._root / ID_NAME) or store_id

    def require_store(self) -> None:
        """Raises OSError if the directory is not the store."""
        found = _read_text(self._root / ID_NAME)
        if found is None or self.expected_id not in (None, found):
            raise NotADirectoryError(errno.ENOTDIR, "another store, or none", str(self._root))

    def _paths(self, key: str) -> tuple[Path, Path]:
        """Returns where an object lies before and after it is sealed, both within the root."""
        cell, name = split_key(key)
        return self._unsealed / f"{cell}-{name}", self._root / cell / name[:2] / name


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
