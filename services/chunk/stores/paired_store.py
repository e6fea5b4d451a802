"""A store whose objects move to another place: two stores that are one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from services.chunk.stores.blob_store import BlobMissing, BlobStore, BlobWriter, SignedRequest

Result = TypeVar("Result")


class PairedStore:
    """Two stores of one region. New objects go to the first, and are read from the one that has them.

    Attributes:
        first, second: the two.
    """

    def __init__(self, first: BlobStore, second: BlobStore) -> None:
        self.first, self.second = first, second
        self.bucket, self.region = first.bucket, first.region
        self.storage_class = first.storage_class
        self.location = f"{first.location}, then {second.location}"

    @property
    def expected_id(self) -> str | None:
        """The id of the first."""
        return self.first.expected_id

    @expected_id.setter
    def expected_id(self, store_id: str | None) -> None:
        self.first.expected_id = store_id

    def open_writer(self, key: str) -> BlobWriter:
        """See BlobStore."""
        return self.first.open_writer(key)

    async def read_ranges(
        self,
        key: str,
        ranges: Sequence[tuple[int, int]],
        use: Callable[[list[memoryview]], Result],
    ) -> Result:
        """See BlobStore."""
        try:
            return await self.first.read_ranges(key, ranges, use)
        except BlobMissing:
            return await self.second.read_ranges(key, ranges, use)

    def sign_request(
        self, method: str, key: str, headers: Mapping[str, str], lasting: timedelta
    ) -> SignedRequest | None:
        """See BlobStore: nobody can."""
        del method, key, headers, lasting
        return None

    async def begin_restore(self, key: str, keep: timedelta) -> None:
        """See BlobStore."""
        await self._holder(await self.first.measure_object(key)).begin_restore(key, keep)

    async def is_restored(self, key: str) -> bool:
        """See BlobStore."""
        return await self._holder(await self.first.measure_object(key)).is_restored(key)

    async def measure_object(self, key: str) -> int | None:
        """See BlobStore."""
        size = await self.first.measure_object(key)
        return await self.second.measure_object(key) if size is None else size

    async def find_time(self, key: str) -> float | None:
        """See BlobStore."""
        made_at = await self.first.find_time(key)
        return await self.second.find_time(key) if made_at is None else made_at

    async def list_objects(self, cell: int) -> AsyncGenerator[list[str], None]:
        """See BlobStore. What is in both comes twice."""
        for store in (self.first, self.second):
            async for keys in store.list_objects(cell):
                yield keys

    async def delete_object(self, key: str) -> None:
        """See BlobStore."""
        await self.first.delete_object(key)
        await self.second.delete_object(key)

    async def read_id(self) -> str | None:
        """See BlobStore: the id of the first."""
        return await self.first.read_id()

    async def create(self, store_id: str) -> str:
        """See BlobStore: makes the first."""
        return await self.first.create(store_id)

    async def read_owner(self, cell: int) -> str | None:
        """See BlobStore: of the first."""
        return await self.first.read_owner(cell)

    async def write_owner(self, cell: int, text: str, *, is_first: bool) -> None:
        """See BlobStore: into the first."""
        await self.first.write_owner(cell, text, is_first=is_first)

    def _holder(self, first_size: int | None) -> BlobStore:
        return self.second if first_size is None else self.first


def split_store(store: BlobStore) -> tuple[BlobStore, ...]:
    """Returns the stores that a store is."""
    return (store.first, store.second) if isinstance(store, PairedStore) else (store,)
