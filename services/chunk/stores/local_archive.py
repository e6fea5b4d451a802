"""A directory that stands for an archive: what lies in it is read some time after it was asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from services.chunk.stores.blob_store import BlobFrozen, BlobMissing
from services.chunk.stores.files import replace_file
from services.chunk.stores.local_store import LocalStore


class _Thaw(NamedTuple):
    """From when until when an object can be read, by this machine's clock: seconds since 1970."""

    begin: float
    end: float


class LocalArchive(LocalStore):
    """A bucket in a directory whose objects can be read `delay` after `begin_restore`.

    That of the object `0/abcdef` is noted in the file `restored/0-abcdef`.
    """

    def __init__(
        self, root: Path, bucket: str, region: str, storage_class: str, delay: timedelta
    ) -> None:
        super().__init__(root, bucket, region, storage_class)
        self._delay = delay.total_seconds()
        self._restored = root / "restored"

    async def begin_restore(self, key: str, keep: timedelta) -> None:
        """See BlobStore."""
        await self.run_file_work(self._begin, key, keep.total_seconds())

    async def is_restored(self, key: str) -> bool:
        """See BlobStore."""
        return await self.run_file_work(self._is_open, self._note_path(key))

    def _begin(self, key: str, keep: float) -> None:
        if self._measure(self._paths(key)[1]) is None:
            raise BlobMissing(key)
        now, path = time.time(), self._note_path(key)
        thaw = _read_note(path)
        begin = thaw.begin if thaw is not None and thaw.end > now else now + self._delay
        end = max(begin, now) + keep
        if thaw is None or end > thaw.end:
            self._restored.mkdir(exist_ok=True)
            replace_file(path, json.dumps([begin, end]))

    def _is_open(self, path: Path) -> bool:
        thaw = _read_note(path)
        return thaw is not None and thaw.begin <= time.time() < thaw.end

    def _read(self, path: Path, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        if self._measure(path) is None:
            raise BlobMissing(path.name)
        if not self._is_open(self._restored / f"{path.parts[-3]}-{path.name}"):
            raise BlobFrozen(path.name)
        return super()._read(path, ranges)

    def _delete(self, *paths: Path) -> None:
        super()._delete(*paths)
        sealed = paths[-1]
        with suppress(FileNotFoundError):
            (self._restored / f"{sealed.parts[-3]}-{sealed.name}").unlink()

    def _note_path(self, key: str) -> Path:
        unsealed, _ = self._paths(key)
        return self._restored / unsealed.name


def _read_note(path: Path) -> _Thaw | None:
    try:
        return _Thaw(*json.loads(path.read_text()))
    except FileNotFoundError:
        return None
