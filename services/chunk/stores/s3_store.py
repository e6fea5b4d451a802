"""The object store in a bucket of an S3 server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from obstore.exceptions import AlreadyExistsError, BaseError, GenericError

from services.chunk.runtime.threads import make_disk_threads, run_in_thread
from services.chunk.stores.blob_store import (
    ID_NAME,
    BlobMissing,
    BlobWriter,
    SignedRequest,
    is_key,
    join_ranges,
    owner_name,
    split_key,
)
from services.chunk.stores.plain_store import PlainStore
from services.chunk.stores.s3_client import make_client
from services.chunk.stores.s3_errors import is_beyond_end, is_bucket_missing, report_failure
from services.chunk.stores.s3_signing import S3Signer
from services.chunk.stores.s3_writer import ObjectPuts, S3Writer
from shared.runtime.store_url import S3Location

if TYPE_CHECKING:
    # It exists in the stubs alone.
    from obstore import ObjectMeta

Result = TypeVar("Result")

_READS_AT_ONCE = 64
_PAGE = 1000


class S3Store(PlainStore):
    """A bucket of an S3 server, or what in it begins with a prefix.

    The object `0/abcdef` is called so, behind the prefix. Until it is sealed, its bytes lie in a file
    without a name in the folder `spool`, so that an upload holds in memory only the parts that are under
    way. A bucket without the object `dits-store`, which holds the id of the store, is not the store.
    """

    def __init__(
        self,
        where: S3Location,
        region: str,
        spool: Path,
        seconds: float,
        *,
        bucket: str | None = None,
        storage_class: str = "standard",
    ) -> None:
        """`seconds`: how long the server may take for a request. `bucket`: its name here, or `region`."""
        self.region = region
        self.bucket = bucket or region
        self.storage_class = storage_class
        self.location = str(where)
        self.expected_id: str | None = None
        self._client = make_client(where, seconds)
        self._signer = S3Signer(where)
        self._puts = ObjectPuts(self._client, self.bucket, where.storage_class, seconds)
        self._spool = spool
        self._threads = make_disk_threads()
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)

    def open_writer(self, key: str) -> BlobWriter:
        """See BlobStore."""
        split_key(key)
        return S3Writer(self._puts, key, self._spool, self._threads, self.require_store)

    async def read_ranges(
        self,
        key: str,
        ranges: Sequence[tuple[int, int]],
        use: Callable[[list[memoryview]], Result],
    ) -> Result:
        """See BlobStore."""
        split_key(key)
        runs = list(join_ranges(ranges))
        found = await asyncio.gather(*(self._read_run(key, run) for run in runs))
        views = [view for some in found for view in some]
        return await run_in_thread(self._threads, use, views)

    def sign_request(
        self, method: str, key: str, headers: Mapping[str, str], lasting: timedelta
    ) -> SignedRequest | None:
        """See BlobStore."""
        split_key(key)
        return self._signer.sign(method, key, headers, lasting) if self._signer.can_sign else None

    async def measure_object(self, key: str) -> int | None:
        """See BlobStore."""
        meta = await self._find(key)
        return None if meta is None else meta["size"]

    async def find_time(self, key: str) -> float | None:
        """See BlobStore."""
        meta = await self._find(key)
        return None if meta is None else meta["last_modified"].timestamp()

    async def list_objects(self, cell: int) -> AsyncGenerator[list[str], None]:
        """See BlobStore."""
        await self.require_store()
        pages = self._client.list(str(cell), chunk_size=_PAGE)
        while True:
            try:
                page = await self._ask(anext(pages))
            except StopAsyncIteration:
                return
            yield [meta["path"] for meta in page if is_key(meta["path"])]

    async def delete_object(self, key: str) -> None:
        """See BlobStore."""
        split_key(key)
        await self.require_store()
        try:
            await self._ask(self._client.delete_async(key))
        except BlobMissing:
            return

    async def read_id(self) -> str | None:
        """See BlobStore."""
        return await self._read_text(ID_NAME)

    async def create(self, store_id: str) -> str:
        """See BlobStore."""
        if (found := await self.read_id()) is not None:
            return found
        await self._write_text(ID_NAME, store_id, is_first=True)
        return await self.read_id() or store_id

    async def read_owner(self, cell: int) -> str | None:
        """See BlobStore."""
        await self.require_store()
        return await self._read_text(owner_name(cell))

    async def write_owner(self, cell: int, text: str, *, is_first: bool) -> None:
        """See BlobStore."""
        await self.require_store()
        await self._write_text(owner_name(cell), text, is_first=is_first)

    async def require_store(self) -> None:
        """Raises DEPENDENCY_UNAVAILABLE if the bucket is not the store."""
        found = await self.read_id()
        if found is None or self.expected_id not in (None, found):
            error = FileNotFoundError(f"another store, or none: {found}")
            raise report_failure(error, self.bucket)

    async def _read_text(self, name: str) -> str | None:
        try:
            answer = await self._client.get_async(name)
            return bytes(await answer.bytes_async()).decode(errors="replace").strip()
        except FileNotFoundError as error:
            if is_bucket_missing(error):
                raise report_failure(error, self.bucket) from None
            return None
        except BaseError as error:
            raise report_failure(error, self.bucket) from None

    async def _write_text(self, name: str, text: str, *, is_first: bool) -> None:
        data = f"{text}\n".encode()
        try:
            if is_first:
                await self._puts.put_small(name, data, {})
            else:
                # In the bucket's usual class: what is written each minute has no place in an archive.
                await self._client.put_async(name, data)
        except AlreadyExistsError:
            return
        except (BaseError, FileNotFoundError) as error:
            raise report_failure(error, self.bucket) from None

    async def _find(self, key: str) -> ObjectMeta | None:
        split_key(key)
        try:
            return await self._ask(self._client.head_async(key))
        except BlobMissing:
            return None

    async def _read_run(self, key: str, run: Sequence[tuple[int, int]]) -> list[memoryview]:
        start, end = run[0][0], sum(run[-1])
        try:
            async with self._reads:
                read = self._client.get_range_async(key, start=start, end=end)
                data = memoryview(await self._ask(read))
        except GenericError:
            data = memoryview(b"")
        return [data[at - start : at - start + length] for at, length in run]

    async def _ask(self, request: Awaitable[Result]) -> Result:
        """Returns an answer. Raises BlobMissing, GenericError if a range begins too late, an outage."""
        try:
            return await request
        except FileNotFoundError as error:
            await self.require_store()
            raise BlobMissing(str(error).partition("\n")[0]) from None
        except BaseError as error:
            if is_beyond_end(error):
                raise
            raise report_failure(error, self.bucket) from None
