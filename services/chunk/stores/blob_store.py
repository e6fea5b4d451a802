"""Object stores: where packs lie. An object is written once, read in ranges, and deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class BlobMissing(Exception):  # noqa: N818  an expected outcome
    """The store has no such object."""


class BlobWriter(Protocol):
    """Writes one object, which no reader sees before it is sealed."""

    async def write_parts(self, parts: Sequence[bytes | memoryview]) -> None:
        """Appends bytes. Raises OSError ENOSPC when the store is full."""

    async def seal(self) -> None:
        """Makes the object durable and visible; returns when it is both."""

    async def discard(self) -> None:
        """Gives the object up and frees its space; a sealed one stays."""


class BlobStore(Protocol):
    """One bucket of a store, in one region.

    A key is `<cell>/<name>`: the number of a cell, and lower-case letters and digits. Cells may share a
    bucket: the objects of one are those whose keys begin with its number and a slash. Every method
    raises ValueError if a key has another form.
    """

    bucket: str
    region: str

    def open_writer(self, key: str) -> BlobWriter:
        """Begins an object, which exists from the first write on; a key is used once."""

    async def read_ranges(
        self,
        key: str,
        ranges: Sequence[tuple[int, int]],
        use: Callable[[list[memoryview]], Result],
    ) -> Result:
        """Returns what `use` makes of the bytes at each (offset, length), fewer at the object's end.

        `use` runs in a thread, if possible in the one that has read them. Raises BlobMissing.
        """

    async def measure_object(self, key: str) -> int | None:
        """Returns the bytes of a sealed object; None if there is none."""

    async def delete_object(self, key: str) -> None:
        """Removes an object, sealed or not. Succeeds if it is gone already."""
