"""Writes an object of the local store."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from services.chunk.stores.files import make_directory, sync_directory, write_all
from services.chunk.stores.page_cache import WrittenPages

if TYPE_CHECKING:
    from services.chunk.stores.local_store import LocalStore


class LocalWriter:
    """A file that gets its name when it is complete and durable. One call at a time."""

    def __init__(self, store: LocalStore, unsealed: Path, sealed: Path) -> None:
        self._store = store
        self._unsealed = unsealed
        self._sealed = sealed
        self._file: int | None = None
        self._pages = WrittenPages()

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
        write_all(file := self._open(), parts)
        self._pages.add(file, sum(map(len, parts)))

    def _seal(self) -> None:
        file = self._open()
        os.fsync(file)
        self._pages.drop_rest(file)
        self._store.require_store()
        make_directory(self._sealed.parent)
        if not os.path.samestat(os.fstat(file), self._unsealed.stat()):
            raise FileNotFoundError(errno.ENOENT, "replaced meanwhile", str(self._unsealed))
        self._unsealed.rename(self._sealed)
        self._close()
        sync_directory(self._sealed.parent)

    def _discard(self) -> None:
        self._close()
        self._unsealed.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)
