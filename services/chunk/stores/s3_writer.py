"""How objects get into a bucket: once, in parts if they are large, with lost answers found out."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import obstore
import structlog
from obstore.exceptions import BaseError, GenericError
from obstore.store import S3Store as S3Client

from services.chunk.runtime.threads import run_in_thread
from services.chunk.stores.files import write_all
from services.chunk.stores.s3_errors import is_unconditional, report_failure

log = structlog.get_logger(__name__)

# The least that S3 takes. Objects up to one part are put at once, under the condition that there is
# none; larger ones in parts.
PART_BYTES = 5 << 20
_PARTS_AT_ONCE = 2
# A put holds the parts that are under way, and one more.
_PUTS_AT_ONCE = 4
_ATTEMPTS = 2
# Metadata of an object: who has written it. It tells an object of ours from another one of its name.
_WRITER = "dits-writer"


class ObjectPuts:
    """Puts objects into one bucket."""

    def __init__(
        self, client: S3Client, bucket: str, storage_class: str | None, seconds: float
    ) -> None:
        """`bucket`: its name in the log. `seconds`: how long the server may take for a request."""
        self._client = client
        self._bucket = bucket
        self._seconds = seconds
        self._slots = asyncio.Semaphore(_PUTS_AT_ONCE)
        self._has_conditions = True
        self._attributes = {"Content-Type": "application/octet-stream"}
        if storage_class is not None:
            self._attributes["Storage-Class"] = storage_class

    async def put_file(self, key: str, writer_id: str, file: IO[bytes], size: int) -> None:
        """Makes an object of the bytes of a file, once.

        Whether an attempt without an answer has succeeded is asked for. Raises OSError ENOSPC if the store
        is full, else an outage.
        """
        async with self._slots:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    async with asyncio.timeout(self._seconds * (2 + size // PART_BYTES)):
                        await self._put(key, writer_id, file, size)
                except (BaseError, OSError) as error:
                    if await self._has_object(key, writer_id, size):
                        log.info("put succeeded without an answer", bucket=self._bucket, key=key)
                        return
                    if attempt == _ATTEMPTS or not isinstance(error, GenericError):
                        raise report_failure(error, self._bucket) from None
                else:
                    return

    async def put_small(self, key: str, data: bytes, attributes: Mapping[str, str]) -> None:
        """Makes an object unless there is one; on a server that knows no conditions, in any case."""
        attributes = {**self._attributes, **attributes}
        if self._has_conditions:
            try:
                await self._client.put_async(key, data, mode="create", attributes=attributes)
            except BaseError as error:
                if not is_unconditional(error):
                    raise
                self._has_conditions = False
            else:
                return
        await self._client.put_async(key, data, attributes=attributes)

    async def _put(self, key: str, writer_id: str, file: IO[bytes], size: int) -> None:
        file.seek(0)
        attributes = {_WRITER: writer_id}
        if size <= PART_BYTES:
            await self.put_small(key, await asyncio.to_thread(file.read), attributes)
            return
        await obstore.put_async(
            self._client,
            key,
            file,
            attributes={**self._attributes, **attributes},
            use_multipart=True,
            chunk_size=PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )

    async def _has_object(self, key: str, writer_id: str, size: int) -> bool:
        """Returns whether an object is there that this writer has made."""
        try:
            answer = await self._client.get_async(key, options={"head": True})
        except (BaseError, FileNotFoundError):
            return False
        return answer.meta["size"] == size and answer.attributes.get(_WRITER) == writer_id


class S3Writer:
    """An object whose bytes are gathered in a file and put when they are complete. One call at a time."""

    def __init__(
        self,
        puts: ObjectPuts,
        key: str,
        spool: Path,
        threads: ThreadPoolExecutor,
        require_store: Callable[[], Awaitable[None]],
    ) -> None:
        self._puts = puts
        self._key = key
        self._spool = spool
        self._threads = threads
        self._require_store = require_store
        self._id = uuid.uuid4().hex
        self._file: IO[bytes] | None = None
        self._size = 0

    async def write_parts(self, parts: Sequence[bytes | memoryview]) -> None:
        """See BlobWriter."""
        await run_in_thread(self._threads, self._write, parts)

    async def seal(self) -> None:
        """See BlobWriter."""
        file = await run_in_thread(self._threads, self._open)
        await self._puts.put_file(self._key, self._id, file, self._size)
        await self._require_store()
        await self.discard()

    async def discard(self) -> None:
        """See BlobWriter."""
        await run_in_thread(self._threads, self._close)

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self._spool.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._spool, buffering=0)  # noqa: SIM115
        return self._file

    def _write(self, parts: Sequence[bytes | memoryview]) -> None:
        try:
            write_all(self._open().fileno(), parts)
        except OSError as error:
            raise report_failure(error, str(self._spool)) from None
        self._size += sum(map(len, parts))

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
